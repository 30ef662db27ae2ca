"""A voice of a tenth of the published size, with weights that keep signals alive."""

import torch
from torch import Tensor, nn

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.gpt_sovits.s2.upstream_keys import from_upstream, to_upstream
from tests.parity.fill import Filler

SMALL = S2Config(
    latent_channels=24,
    hidden_channels=32,
    filter_channels=48,
    num_layers=2,
    ssl_dim=40,
    codebook_size=64,
    speaker_dim=48,
    mrte_channels=48,
    reference_channels=16,
    posterior_layers=2,
    upsample_channels=64,
)


def filled(module: nn.Module, salt: str = "unit") -> dict[str, Tensor]:
    """A state dict for ``module``: noise scaled by each tensor's role, so nothing is zero."""
    filler = Filler(salt)
    return from_upstream(
        {
            key: filler.tensor(key, tuple(value.shape))
            for key, value in to_upstream(module.state_dict()).items()
        }
    )


def small_voice(has_posterior: bool = False, config: S2Config = SMALL) -> Synthesizer:
    voice = Synthesizer(config, has_posterior)
    voice.load_state_dict(filled(voice))
    return voice.eval()


def small_segment(num_tokens: int, seed: int, **settings: float) -> Segment:
    """Tokens, phonemes and a speaker that follow from ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    num_phonemes = max(1, num_tokens // 2)
    return Segment(
        semantic_tokens=torch.randint(SMALL.codebook_size, (num_tokens,), generator=generator),
        phoneme_ids=torch.randint(SMALL.num_phonemes, (num_phonemes,), generator=generator),
        speaker=torch.randn(SMALL.speaker_dim, generator=generator),
        seed=seed,
        **settings,
    )
