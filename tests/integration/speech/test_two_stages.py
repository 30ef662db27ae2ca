"""Speech over the running graph equals speech without it, whatever happens on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from deployments.driver.iteration import each
from deployments.driver.speech import Speech
from deployments.driver.speech_engine import Waveform
from deployments.driver.two_stages import TwoStageRequest, TwoStages
from deployments.engine.speech.checkpoint_files import CheckpointFiles
from deployments.engine.speech.semantic import max_new_tokens
from deployments.errors import DamagedRecord, InvalidInput
from deployments.messages import StageStats
from models.gpt_sovits.pipeline import SpeechRequest, speak, speak_early
from tests.gpt_sovits_store import random_features
from tests.integration.speech.conftest import Graph

pytestmark = pytest.mark.ray

TEXT = "안녕하세요. 오늘은 날씨가 참 좋네요, 그렇지요? 보고서는 내일까지 부탁드립니다."
CANCEL_LIMIT_S = 0.5


def request_of(seed: int, num_phonemes: int = 30, checkpoint: str = "small@1") -> TwoStageRequest:
    return TwoStageRequest(
        checkpoint=checkpoint,
        phoneme_ids=tuple(100 + (7 * seed + i) % 300 for i in range(num_phonemes)),
        reference=random_features(seed),
        seed=seed,
        speed=1.0,
    )


def spoken_alone(
    graph: Graph, request: TwoStageRequest, speak: Callable[..., Iterator[torch.Tensor]] = speak
) -> Waveform:
    """What the single-request path speaks, in this process."""
    files = CheckpointFiles([graph.store])
    chunks = speak(
        files.semantic_decoder(request.checkpoint),
        files.synthesizer(request.checkpoint),
        SpeechRequest(
            phoneme_ids=torch.tensor(request.phoneme_ids),
            reference=request.reference,
            seed=request.seed,
            speed=request.speed,
            max_new_tokens=max_new_tokens(len(request.phoneme_ids), 10_000),
        ),
    )
    return torch.cat(list(chunks)).numpy()


async def spoken(stages: TwoStages, request: TwoStageRequest) -> Waveform:
    return np.concatenate([waveform async for waveform in stages.speak(request)])


async def said(speech: Speech, graph: Graph, voice_id: str, seed: int) -> Waveform:
    voice = graph.catalog.voice(voice_id)
    style = voice.style("ko", "neutral", 1.0, seed=seed)
    segments = await speech.analyze(TEXT, style)
    return np.concatenate([w async for w in speech.say(each(segments), voice, style, route="test")])


async def until_stats(stage: Any, holds: Callable[[StageStats], bool]) -> float:
    """Wait until a stage's stats are as wanted; seconds that took."""
    started = time.monotonic()
    async with asyncio.timeout(20):
        while not holds(await stage.stats.remote()):
            await asyncio.sleep(0.01)
    return time.monotonic() - started


def is_idle(stats: StageStats) -> bool:
    return (stats.active, stats.waiting) == (0, 0)


def is_busy(stats: StageStats) -> bool:
    return stats.active > 0


def test_the_graph_speaks_as_the_single_request_path_does(graph: Graph) -> None:
    request = request_of(1)
    heard = asyncio.run(spoken(graph.stages(), request))
    np.testing.assert_array_equal(heard, spoken_alone(graph, request))


def test_early_mode_speaks_as_that_of_the_single_request_path(graph: Graph) -> None:
    request = request_of(1)

    async def scenario() -> Waveform:
        return np.concatenate([w async for w in graph.stages().speak_early(request)])

    expected = spoken_alone(graph, request, speak_early)
    np.testing.assert_array_equal(asyncio.run(scenario()), expected)


def test_segments_spoken_together_sound_as_they_do_alone(graph: Graph) -> None:
    requests = [request_of(seed, 20 + 10 * seed) for seed in range(4)]

    async def together() -> list[Waveform]:
        stages = graph.stages()
        return await asyncio.gather(*(spoken(stages, request) for request in requests))

    for request, heard in zip(requests, asyncio.run(together()), strict=True):
        np.testing.assert_array_equal(heard, spoken_alone(graph, request))


def test_two_voices_at_once_say_what_each_says_alone(graph: Graph) -> None:
    async def scenario() -> tuple[list[Waveform], list[Waveform]]:
        speech = graph.speech()
        alone = [await said(speech, graph, voice, 5) for voice in ("alto", "tenor")]
        calls = (said(speech, graph, voice, 5) for voice in ("alto", "tenor"))
        return alone, await asyncio.gather(*calls)

    alone, together = asyncio.run(scenario())
    assert not np.array_equal(alone[0], alone[1])
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_says_it_differently(graph: Graph) -> None:
    async def scenario() -> list[Waveform]:
        speech = graph.speech()
        return [await said(speech, graph, "alto", seed) for seed in (5, 6)]

    five, six = asyncio.run(scenario())
    assert not np.array_equal(five, six)


def test_leaving_in_the_middle_of_s1_frees_its_slot(graph: Graph) -> None:
    async def scenario() -> float:
        task = asyncio.create_task(spoken(graph.stages(), request_of(3, 150, "endless@1")))
        await until_stats(graph.semantic_decoder, is_busy)
        task.cancel()
        return await until_stats(graph.semantic_decoder, is_idle)

    assert asyncio.run(scenario()) <= CANCEL_LIMIT_S


def test_leaving_in_the_middle_of_s2_drops_the_windows_that_are_left(graph: Graph) -> None:
    async def scenario() -> float:
        request = request_of(3, 100, "endless@1")
        async with aclosing(graph.stages().speak(request)) as waveforms:
            await anext(waveforms)
            assert is_busy(await graph.vocoder.stats.remote())
        return await until_stats(graph.vocoder, is_idle)

    assert asyncio.run(scenario()) <= CANCEL_LIMIT_S


@pytest.mark.parametrize(
    ("change", "error"),
    [({"phoneme_ids": (9999,)}, InvalidInput), ({"checkpoint": "nobody@1"}, DamagedRecord)],
)
def test_a_request_that_can_not_be_served_is_told_so_and_nobody_else(
    graph: Graph, change: dict[str, Any], error: type[Exception]
) -> None:
    request = request_of(1)

    async def scenario() -> list[Waveform | BaseException]:
        stages = graph.stages()
        calls = (spoken(stages, each) for each in (request, replace(request, **change)))
        return await asyncio.gather(*calls, return_exceptions=True)

    heard, refused = asyncio.run(scenario())
    assert isinstance(refused, error)
    np.testing.assert_array_equal(heard, spoken_alone(graph, request))


@pytest.mark.parametrize("stage", ["SemanticDecoder", "Vocoder"])
def test_a_replica_that_dies_in_the_middle_is_not_heard(graph: Graph, stage: str) -> None:
    request = request_of(2, 60, "endless@1")

    async def scenario() -> tuple[Waveform, list[Any]]:
        await graph.signals.doom.remote(stage)
        heard = await spoken(graph.stages(), request)
        return heard, await graph.signals.requests.remote(stage)

    heard, requests = asyncio.run(scenario())
    np.testing.assert_array_equal(heard, spoken_alone(graph, request))
    first, *_, last = requests
    if stage == "Vocoder":
        assert (first.skip_samples, last.skip_samples > 0) == (0, True)
    else:
        assert (first.generated_prefix, len(last.generated_prefix) >= 5) == ((), True)


@pytest.mark.parametrize("stage", ["SemanticDecoder", "Vocoder"])
def test_a_replica_that_dies_in_early_mode_is_not_heard(graph: Graph, stage: str) -> None:
    request = request_of(2, 20, "endless@1")

    async def scenario() -> Waveform:
        if stage == "SemanticDecoder":
            await graph.signals.doom.remote(stage)
        chunks = []
        async with aclosing(graph.stages().speak_early(request)) as waveforms:
            async for waveform in waveforms:
                chunks.append(waveform)
                if stage == "Vocoder" and len(chunks) == 1:
                    await graph.signals.doom.remote(stage)
        assert len(await graph.signals.requests.remote(stage)) >= 2
        return np.concatenate(chunks)

    heard = asyncio.run(scenario())
    np.testing.assert_array_equal(heard, spoken_alone(graph, request, speak_early))
