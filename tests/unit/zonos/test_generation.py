"""What a request for codes must be, and that its seed decides it."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from models.zonos.generation import ZonosBatch, ZonosRequest, generate
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.network import Zonos
from models.zonos.sampling import SamplingSettings
from tests.zonos_network import random_frames, random_request

PREFIX = torch.zeros(2, 3, 64)


@pytest.mark.parametrize("fields", [
    {"guidance_scale": 1.0}, {"guidance_scale": 10.1}, {"guidance_scale": float("nan")},
    {"max_new_frames": 0}, {"max_new_frames": 2581}, {"seed": 2**63},
    {"max_new_frames": 2, "generated_prefix": random_frames(2, 0)},
    {"prompt": [(0,) * 8]}, {"prompt": [(1024,) * 9]}, {"generated_prefix": [(-1,) * 9]},
    {"prompt": [(0,) * 9] * 2581},
])  # fmt: skip
def test_a_malformed_request_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must|at most"):
        ZonosRequest(PREFIX, **{"seed": 0, **fields})


def test_the_seed_decides_the_frames(network: Zonos, decoder: GuidedDecoder) -> None:
    plain = SamplingSettings(min_p=0.0)
    request = replace(random_request(network, 4), sampling=plain, max_new_frames=10)
    frames = generate(decoder, request).frames
    assert generate(decoder, request).frames == frames
    assert generate(decoder, replace(request, seed=5)).frames != frames


def test_guidance_changes_what_is_said(network: Zonos, decoder: GuidedDecoder) -> None:
    greedy = SamplingSettings(temperature=0.0)
    request = replace(random_request(network, 4), sampling=greedy, max_new_frames=10)
    weak, strong = (replace(request, guidance_scale=scale) for scale in (1.1, 4.0))
    assert generate(decoder, weak).frames != generate(decoder, strong).frames


def test_a_sequence_fits_exactly_the_positions_it_says_it_needs(
    network: Zonos, decoder: GuidedDecoder
) -> None:
    request = replace(random_request(network, 6), max_new_frames=64)
    batch = ZonosBatch(decoder, num_slots=1, capacity=request.max_positions)
    batch.join(request)
    while batch.active_slots:
        batch.step()
    assert batch.cache.lengths[0] <= request.max_positions
    short = ZonosBatch(decoder, num_slots=1, capacity=request.max_positions - 16)
    with pytest.raises(ValueError, match="may need"):
        short.join(request)


def test_leaving_an_empty_slot_is_refused(decoder: GuidedDecoder) -> None:
    with pytest.raises(ValueError, match="slot 0 holds no sequence"):
        ZonosBatch(decoder, num_slots=1, capacity=64).leave(0)
