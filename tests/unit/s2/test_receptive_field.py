"""The stated context is enough, and no frame of it is spare."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.receptive_field import Context, flow_context, generator_context
from tests.unit.s2.voices import SMALL, small_voice


def _reach(run: Callable[[Tensor], Tensor], z: Tensor, scale: int) -> Context:
    """How far a change of one middle frame is felt before and after it, in frames.

    A frame that is felt n frames later is needed n frames to the left.
    """
    middle = z.shape[2] // 2
    changed = z.clone()
    changed[:, :, middle] += 1.0
    different = (run(z) != run(changed)).any(dim=1)[0].nonzero().flatten() // scale
    return Context(left=int(different.max()) - middle, right=middle - int(different.min()))


def test_published_sizes_need_the_documented_context() -> None:
    assert flow_context(S2Config()) == Context(32, 32)
    assert generator_context(S2Config()) == Context(11, 11)


@torch.inference_mode()
def test_generator_context_is_exactly_what_is_felt() -> None:
    voice = small_voice().double()
    z = torch.randn(1, SMALL.latent_channels, 60, dtype=torch.float64)
    speaker = torch.randn(1, SMALL.speaker_dim, 1, dtype=torch.float64)
    reach = _reach(lambda x: voice.generator(x, speaker), z, SMALL.hop_length)
    assert reach == generator_context(SMALL)


@pytest.mark.parametrize("couplings", [2, 4])
@torch.inference_mode()
def test_flow_context_is_exactly_what_is_felt(couplings: int) -> None:
    config = S2Config(**{**vars(SMALL), "flow_couplings": couplings})
    voice = small_voice(config=config).double()
    z = torch.randn(1, config.latent_channels, 120, dtype=torch.float64)
    mask = torch.ones(1, 1, 120, dtype=torch.float64)
    speaker = torch.randn(1, config.speaker_dim, 1, dtype=torch.float64)
    reach = _reach(lambda x: voice.flow.inverse(x, mask, speaker), z, 1)
    assert reach == flow_context(config)
