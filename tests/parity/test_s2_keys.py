"""Names and shapes of S2's tensors against published checkpoints."""

import pytest
import torch

from models.gpt_sovits.s2.discriminator import Discriminators
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.gpt_sovits.s2.upstream_keys import from_upstream, to_upstream
from tests.parity.s2_voice import GOLDEN, SIZES, generator_keys, voice_config


def _entries(module: torch.nn.Module) -> dict[str, dict[str, object]]:
    """Key -> shape and dtype, as the golden lists write them."""
    return {
        key: {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
        for key, value in to_upstream(module.state_dict()).items()
    }


@pytest.mark.parametrize("size", SIZES)
def test_a_voice_has_exactly_the_published_tensors(size: str) -> None:
    with torch.device("meta"):
        voice = Synthesizer(voice_config(size), has_posterior=True)
    assert _entries(voice) == generator_keys(size)


def test_the_discriminators_have_exactly_the_published_tensors() -> None:
    with torch.device("meta"):
        discriminators = Discriminators()
    assert _entries(discriminators) == GOLDEN.json("keys_s2_d.json")


@pytest.mark.parametrize("file_name", ["keys_s2_g.json", "keys_s2_g_tiny.json", "keys_s2_d.json"])
def test_renaming_there_and_back_changes_nothing(file_name: str) -> None:
    keys = {key: key for key in GOLDEN.json(file_name)}
    assert to_upstream(from_upstream(keys)) == keys
