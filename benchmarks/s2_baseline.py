"""What S2 is compared with: a plain eager float32 decode, as the reference runs it.

Weight norm is recomputed in every call, convolutions are one-dimensional, nothing is prepared.
"""

import torch
from torch import Tensor

from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer


@torch.no_grad()
def decode_plainly(synthesizer: Synthesizer, segment: Segment) -> Tensor:
    """One whole segment at normal speed with unprepared weights: (samples,)."""
    speaker = segment.speaker[None, :, None]
    content = synthesizer.content(segment.semantic_tokens[None])
    lens = torch.tensor([content.shape[2]])
    phoneme_ids = segment.phoneme_ids[None]
    phoneme_lens = torch.tensor([phoneme_ids.shape[1]])
    prior = synthesizer.prior_encoder(content, lens, phoneme_ids, phoneme_lens, speaker)
    noise = torch.randn_like(prior.mean)
    z_prior = prior.mean + noise * torch.exp(prior.log_std) * segment.noise_scale
    return synthesizer.synthesize(z_prior, lens, speaker)[0]
