"""Semantic tokens from SSL features against the reference implementation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from models.gpt_sovits.s2.synthesizer import Synthesizer
from tests.parity.fill import filler_for
from tests.parity.s2_voice import GOLDEN, SIZES, assert_near, voice_for


@dataclass(frozen=True)
class LatentCase:
    """Golden tokens, and the features they come from."""

    golden: dict[str, np.ndarray]
    voice: Synthesizer
    features: Tensor


@pytest.fixture(params=SIZES)
def case(request: pytest.FixtureRequest) -> Iterator[LatentCase]:
    size = request.param
    file_name = f"s2_{size}_latent.npz"
    golden, voice = GOLDEN.arrays(file_name), voice_for(file_name, size)
    num_tokens = golden["codes"].shape[2]
    # The number of frames is not stored: two for every token, and in the default set an odd one.
    candidates = [
        torch.from_numpy(
            filler_for(file_name).normalish(f"s2/{size}/ssl", (1, voice.config.ssl_dim, num_frames))
        ).transpose(1, 2)
        for num_frames in (2 * num_tokens + 1, 2 * num_tokens)
    ]
    stored = torch.from_numpy(golden["ssl_proj_slice"])
    with torch.inference_mode():
        odd, even = candidates
        is_even = torch.allclose(voice.project_ssl(even)[:, ::16], stored, atol=1e-4, rtol=0)
        yield LatentCase(golden, voice, even if is_even else odd)


def test_semantic_tokens_equal_the_reference(case: LatentCase) -> None:
    tokens = case.voice.extract_latent(case.features)

    assert torch.equal(tokens, torch.from_numpy(case.golden["codes"])[:, 0])
    assert_near(case.voice.project_ssl(case.features)[:, ::16], case.golden["ssl_proj_slice"])
    assert_near(case.voice.codebook.decode(tokens)[:, ::16], case.golden["quantized_slice"])


def test_margin_to_the_second_best_token_equals_the_reference(case: LatentCase) -> None:
    projected = case.voice.project_ssl(case.features)[0].t().double()
    squared = torch.cdist(projected, case.voice.codebook.embed.double()).square()
    best, second = squared.topk(2, dim=1, largest=False).values.t()
    # Differences of distances near 1500 in float32: the reference itself is uncertain by 4e-4.
    assert_near((second - best).float(), case.golden["gap"], tolerance=1e-3)
