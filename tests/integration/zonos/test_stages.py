"""Zonos over the running graph equals Zonos without it, whatever happens on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from deployments.driver.speech_engine import Waveform
from deployments.driver.zonos_stages import SpokenCodes, ZonosStages
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.engine.speech.zonos_protocol import CodeRequest
from deployments.errors import DamagedRecord, InvalidInput
from deployments.messages import StageStats
from models.zonos.conditions import SPEAKER_DIM, Conditions
from models.zonos.generation import ZonosRequest, generate
from models.zonos.guided_decoder import GuidedDecoder
from tests.integration.zonos.conftest import Graph
from tests.zonos_network import random_frames

pytestmark = pytest.mark.ray

CANCEL_LIMIT_S = 2.0  # a busy machine's; the window or step that runs is finished


def request_of(seed: int, max_new_frames: int = 90, checkpoint: str = "endless@1") -> CodeRequest:
    generator = torch.Generator().manual_seed(seed)
    speaker = torch.randn(SPEAKER_DIM, generator=generator)
    return CodeRequest(
        checkpoint=checkpoint,
        phoneme_ids=(2, *(40 + (7 * seed + i) % 140 for i in range(20)), 3),
        conditions=Conditions(language_id=58, speaker=speaker),
        seed=seed,
        prompt=tuple(random_frames(12, seed)) if seed % 2 else (),
        max_new_frames=max_new_frames,
    )


def spoken_alone(graph: Graph, request: CodeRequest) -> Waveform:
    """What the networks say by themselves, in this process, decoded at once."""
    files = ZonosFiles([graph.store])
    network = files.backbone(request.checkpoint, torch.float32)
    ids = torch.tensor(request.phoneme_ids)
    pair = network.prefix_conditioner.guidance_pair(ids, request.conditions.values())
    asked = ZonosRequest(
        pair,
        request.seed,
        prompt=request.prompt,
        max_new_frames=request.max_new_frames or 0,
    )
    frames = generate(GuidedDecoder(network), asked).frames
    codes = torch.tensor([[*request.prompt, *frames]])
    waveform = files.codec(request.checkpoint, torch.float32).decode(codes)[0]
    return waveform[512 * len(request.prompt) :].numpy()


async def spoken(stages: ZonosStages, request: CodeRequest) -> Waveform:
    codes = SpokenCodes(request.prompt)
    return np.concatenate([waveform async for waveform in stages.speak(request, codes)])


def assert_equal(heard: Waveform, expected: Waveform) -> None:
    np.testing.assert_allclose(heard, expected, atol=1e-5 * float(np.abs(expected).max()))


async def until_stats(stage: Any, holds: Callable[[StageStats], bool]) -> float:
    started = time.monotonic()
    async with asyncio.timeout(30):
        while not holds(await stage.stats.remote()):
            await asyncio.sleep(0.01)
    return time.monotonic() - started


def is_idle(stats: StageStats) -> bool:
    return (stats.active, stats.waiting) == (0, 0)


def is_busy(stats: StageStats) -> bool:
    return stats.active > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_streamed_is_what_the_networks_say_at_once(graph: Graph, seed: int) -> None:
    request = request_of(seed)
    assert_equal(asyncio.run(spoken(graph.stages(), request)), spoken_alone(graph, request))


def test_segments_spoken_together_sound_as_they_do_alone(graph: Graph) -> None:
    requests = [request_of(seed, 20 + 15 * seed) for seed in range(4)]

    async def together() -> list[Waveform]:
        stages = graph.stages()
        return await asyncio.gather(*(spoken(stages, request) for request in requests))

    for request, heard in zip(requests, asyncio.run(together()), strict=True):
        assert_equal(heard, spoken_alone(graph, request))


def test_leaving_frees_both_rows_of_the_pair_and_drops_the_windows(graph: Graph) -> None:
    async def scenario() -> tuple[float, float]:
        async with aclosing(graph.stages().speak(request_of(2, 2000), SpokenCodes())) as waveforms:
            await anext(waveforms)
            assert is_busy(await graph.backbone.stats.remote())
        freed_s = await until_stats(graph.backbone, is_idle)
        return freed_s, await until_stats(graph.decoder, is_idle)

    assert max(asyncio.run(scenario())) <= CANCEL_LIMIT_S


@pytest.mark.parametrize(
    ("change", "error"),
    [({"phoneme_ids": (9999,)}, InvalidInput), ({"checkpoint": "nobody@1"}, DamagedRecord)],
)
def test_a_request_that_can_not_be_served_is_told_so_and_nobody_else(
    graph: Graph, change: dict[str, Any], error: type[Exception]
) -> None:
    request = request_of(2)

    async def scenario() -> list[Waveform | BaseException]:
        stages = graph.stages()
        calls = (spoken(stages, each) for each in (request, replace(request, **change)))
        return await asyncio.gather(*calls, return_exceptions=True)

    heard, refused = asyncio.run(scenario())
    assert isinstance(refused, error)
    assert isinstance(heard, np.ndarray)
    assert_equal(heard, spoken_alone(graph, request))


@pytest.mark.parametrize("stage", ["ZonosBackbone", "ZonosDecoder"])
def test_a_replica_that_dies_in_the_middle_is_not_heard(graph: Graph, stage: str) -> None:
    request = request_of(1)

    async def scenario() -> tuple[Waveform, list[Any]]:
        await graph.signals.doom.remote(stage)
        heard = await spoken(graph.stages(), request)
        return heard, await graph.signals.requests.remote(stage)

    heard, requests = asyncio.run(scenario())
    assert_equal(heard, spoken_alone(graph, request))
    if stage == "ZonosBackbone":
        first, *_, last = requests
        assert (first.generated_prefix, len(last.generated_prefix) >= 5) == ((), True)
