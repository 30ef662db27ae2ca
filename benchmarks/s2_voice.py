"""A full-size S2 voice with random weights that keep signals alive, and segments for it."""

import torch
from torch import nn

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer

# Korean is read at about this rate, counted in phonemes of the front end.
PHONEMES_PER_SECOND = 14


def random_voice(seed: int = 0) -> Synthesizer:
    """A voice in eval mode; speed does not depend on what the weights are.

    Layers that start at zero or near it are given ordinary weights: a flow that is the identity or
    a waveform of denormals would not be measured fairly.
    """
    torch.manual_seed(seed)
    voice = Synthesizer(S2Config())
    with torch.no_grad():
        for coupling in voice.flow.couplings:
            post = coupling.get_submodule("post")
            for parameter in post.parameters():
                nn.init.normal_(parameter, std=0.05)
        for upsample in voice.generator.upsamples:
            direction = upsample.get_parameter("parametrizations.weight.original1")
            upsample.get_parameter("parametrizations.weight.original0").copy_(
                torch.full((direction.shape[0], 1, 1), 2.0)
            )
    return voice.eval().requires_grad_(False)


def random_segment(voice: Synthesizer, seconds: float, seed: int = 0) -> Segment:
    """A segment of a given length at normal speed."""
    config = voice.config
    generator = torch.Generator().manual_seed(seed)
    num_tokens = round(seconds * config.sample_rate / config.samples_per_token)
    num_phonemes = max(2, round(seconds * PHONEMES_PER_SECOND))
    return Segment(
        semantic_tokens=torch.randint(config.codebook_size, (num_tokens,), generator=generator),
        phoneme_ids=torch.randint(config.num_phonemes, (num_phonemes,), generator=generator),
        speaker=torch.randn(config.speaker_dim, generator=generator),
        seed=seed,
    )
