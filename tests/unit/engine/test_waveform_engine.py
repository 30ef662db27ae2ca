"""S2 as an engine over real, small networks: chunks, batches and resumption change no sample."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch

from deployments.engine.batching.stepping import Load
from deployments.engine.speech.checkpoint_files import CheckpointFiles, CheckpointUnusable
from deployments.engine.speech.protocol import EarlyRequest, Waveform, WaveformRequest
from deployments.engine.speech.vocoding import WaveformEngine, WaveformSettings
from models.gpt_sovits.pipeline import FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES
from models.gpt_sovits.s2.decoding import stream_exact
from models.gpt_sovits.s2.early_streaming import stream_early
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer
from tests.gpt_sovits_store import S2, random_features

MakeEngine = Callable[..., WaveformEngine]


@pytest.fixture
def make_engine(checkpoint_files: CheckpointFiles) -> Iterator[MakeEngine]:
    engines = []

    def make(files: CheckpointFiles = checkpoint_files, **settings: object) -> WaveformEngine:
        engines.append(WaveformEngine(files, WaveformSettings(**settings)))  # type: ignore[arg-type]
        return engines[-1]

    yield make
    for engine in engines:
        engine.stop()


def random_request(seed: int, num_tokens: int = 70, checkpoint: str = "first@1") -> WaveformRequest:
    chance = random.Random(seed)
    return WaveformRequest(
        checkpoint=checkpoint,
        semantic_tokens=tuple(chance.randrange(S2.codebook_size) for _ in range(num_tokens)),
        phoneme_ids=tuple(chance.randrange(732) for _ in range(num_tokens // 2)),
        reference=random_features(seed),
        seed=seed,
        speed=chance.choice([1.0, 1.2]),
    )


@cache
def synthesizer_of(files: CheckpointFiles, checkpoint: str) -> Synthesizer:
    return files.synthesizer(checkpoint)


def chunks_alone(
    files: CheckpointFiles, request: WaveformRequest, noise_scale: float = 0.5
) -> list[Waveform]:
    """What the single-request path makes."""
    segment = Segment(
        semantic_tokens=torch.tensor(request.semantic_tokens),
        phoneme_ids=torch.tensor(request.phoneme_ids),
        speaker=request.reference.speaker,
        seed=request.seed,
        speed=request.speed,
        noise_scale=noise_scale,
    )
    synthesizer = synthesizer_of(files, request.checkpoint)
    chunks = stream_exact(synthesizer, segment, FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES)
    return [chunk.numpy() for chunk in chunks]


async def chunks_of(engine: WaveformEngine, request: WaveformRequest) -> list[Waveform]:
    return [chunk async for chunk in engine.synthesize(request)]


async def all_chunks(
    engine: WaveformEngine, requests: list[WaveformRequest]
) -> list[list[Waveform]]:
    return await asyncio.gather(*(chunks_of(engine, request) for request in requests))


@pytest.fixture
def requests() -> list[WaveformRequest]:
    return [random_request(i, 20 + 15 * i, ("first@1", "second@1")[i % 2]) for i in range(5)]


def test_a_checkpoint_says_how_much_noise_it_takes(
    make_engine: MakeEngine, tuned_files: CheckpointFiles
) -> None:
    request = random_request(1, checkpoint="tuned@1")

    chunks = asyncio.run(chunks_of(make_engine(tuned_files), request))

    plain, noisy = (chunks_alone(tuned_files, request, scale) for scale in (0.0, 0.5))
    assert np.array_equal(np.concatenate(chunks), np.concatenate(plain))
    assert not np.array_equal(np.concatenate(chunks), np.concatenate(noisy))


def test_one_window_a_call_gives_the_samples_of_the_single_path_bit_for_bit(
    make_engine: MakeEngine, checkpoint_files: CheckpointFiles, requests: list[WaveformRequest]
) -> None:
    async def together() -> list[list[Waveform]]:
        return await all_chunks(make_engine(num_slots=3, max_batch=1), requests)

    for request, chunks in zip(requests, asyncio.run(together()), strict=True):
        for chunk, alone in zip(chunks, chunks_alone(checkpoint_files, request), strict=True):
            np.testing.assert_array_equal(chunk, alone)


def test_windows_of_several_segments_share_a_call_and_sound_as_alone(
    make_engine: MakeEngine, checkpoint_files: CheckpointFiles, requests: list[WaveformRequest]
) -> None:
    async def together() -> list[list[Waveform]]:
        return await all_chunks(make_engine(num_slots=3, max_batch=3), requests)

    for request, chunks in zip(requests, asyncio.run(together()), strict=True):
        alone = np.concatenate(chunks_alone(checkpoint_files, request))
        np.testing.assert_allclose(np.concatenate(chunks), alone, atol=1e-4)


def test_the_first_chunk_is_short(make_engine: MakeEngine) -> None:
    request = replace(random_request(1), speed=1.0)
    chunks = asyncio.run(all_chunks(make_engine(), [request]))[0]
    assert len(chunks[0]) == FIRST_CHUNK_FRAMES * S2.hop_length
    assert sum(map(len, chunks)) == 70 * S2.samples_per_token


@pytest.mark.parametrize("num_chunks", [0, 1, 2])
@pytest.mark.parametrize("extra", [0, 333])
def test_an_interrupted_segment_goes_on_behind_what_was_delivered(
    make_engine: MakeEngine, num_chunks: int, extra: int
) -> None:
    request = random_request(2, num_tokens=120)

    async def scenario() -> tuple[Waveform, Waveform, int]:
        engine = make_engine()
        chunks = await chunks_of(engine, request)
        skip = sum(map(len, chunks[:num_chunks])) + extra
        rest = await chunks_of(engine, replace(request, skip_samples=skip))
        return np.concatenate(chunks), np.concatenate(rest), skip

    whole, rest, skip = asyncio.run(scenario())
    np.testing.assert_array_equal(rest, whole[skip:])


def test_nothing_follows_a_segment_that_was_delivered_whole(make_engine: MakeEngine) -> None:
    async def scenario() -> list[Waveform]:
        engine, request = make_engine(), random_request(1)
        whole = sum(map(len, await chunks_of(engine, request)))
        with pytest.raises(ValueError, match=f"the segment has {whole} samples"):
            await chunks_of(engine, replace(request, skip_samples=whole + 1))
        return await chunks_of(engine, replace(request, skip_samples=whole))

    assert asyncio.run(scenario()) == []


def test_leaving_drops_the_windows_that_are_left(make_engine: MakeEngine) -> None:
    async def scenario() -> list[Waveform]:
        engine = make_engine(num_slots=1)
        async with aclosing(engine.synthesize(random_request(1, num_tokens=2000))) as left:
            await anext(left)
            waiting = asyncio.create_task(chunks_of(engine, random_request(2)))
        async with asyncio.timeout(20):
            chunks = await waiting
            while engine.load != Load():
                await asyncio.sleep(0.001)
        return chunks

    assert asyncio.run(scenario())


def test_early_audio_of_growing_tokens_is_that_of_the_single_path(
    make_engine: MakeEngine, checkpoint_files: CheckpointFiles
) -> None:
    whole = random_request(4)
    groups = [whole.semantic_tokens[:16], whole.semantic_tokens[16:32], whole.semantic_tokens[32:]]

    async def scenario() -> list[Waveform]:
        engine = make_engine()
        waveforms, tokens, held_back = [], (), None
        for group in groups:
            tokens += group
            request = EarlyRequest(
                whole.checkpoint, tokens, len(group), whole.phoneme_ids, whole.reference,
                whole.seed, whole.speed, held_back,
            )  # fmt: skip
            audio = await engine.synthesize_early(request)
            waveforms.append(audio.waveform)
            held_back = audio.held_back
        assert held_back is not None
        return [*waveforms, held_back.waveform.numpy()]

    alone = stream_early(
        synthesizer_of(checkpoint_files, whole.checkpoint),
        partial(
            Segment,
            phoneme_ids=torch.tensor(whole.phoneme_ids),
            speaker=whole.reference.speaker,
            seed=whole.seed,
            speed=whole.speed,
        ),
        [torch.tensor(group) for group in groups],
    )
    for waveform, expected in zip(asyncio.run(scenario()), alone, strict=True):
        np.testing.assert_array_equal(waveform, expected.numpy())


@pytest.mark.parametrize("num_new_tokens", [0, 71])
def test_an_early_request_that_brings_nothing_new_fails_alone(
    make_engine: MakeEngine, num_new_tokens: int
) -> None:
    good = random_request(1)
    bad = EarlyRequest(
        good.checkpoint, good.semantic_tokens, num_new_tokens, good.phoneme_ids, good.reference,
        good.seed,
    )  # fmt: skip

    async def scenario() -> list[Any]:
        engine = make_engine()
        calls = (chunks_of(engine, good), engine.synthesize_early(bad))
        return await asyncio.gather(*calls, return_exceptions=True)

    chunks, failed = asyncio.run(scenario())
    assert isinstance(failed, ValueError)
    assert len(chunks) > 1


@pytest.mark.parametrize(
    "change",
    [
        {"semantic_tokens": (64,)},
        {"semantic_tokens": (-1,)},
        {"semantic_tokens": ()},
        {"phoneme_ids": (732,)},
        {"speed": 0.0},
        {"skip_samples": -1},
    ],
)
def test_a_malformed_request_fails_alone(
    make_engine: MakeEngine, checkpoint_files: CheckpointFiles, change: dict[str, object]
) -> None:
    good = random_request(1)

    async def scenario() -> list[list[Waveform] | BaseException]:
        engine = make_engine()
        calls = [chunks_of(engine, request) for request in (good, replace(good, **change))]  # type: ignore[arg-type]
        return await asyncio.gather(*calls, return_exceptions=True)

    chunks, failed = asyncio.run(scenario())
    assert isinstance(failed, ValueError)
    assert isinstance(chunks, list)
    alone = chunks_alone(checkpoint_files, good)
    np.testing.assert_array_equal(np.concatenate(chunks), np.concatenate(alone))


def test_a_damaged_checkpoint_is_named(
    make_engine: MakeEngine, damaged_files: CheckpointFiles
) -> None:
    with pytest.raises(CheckpointUnusable, match="damaged@1"):
        request = random_request(1, checkpoint="damaged@1")
        asyncio.run(chunks_of(make_engine(damaged_files), request))


@pytest.mark.parametrize("is_early", [False, True])
def test_a_checkpoint_whose_numbers_overflow_is_named_and_not_heard(
    make_engine: MakeEngine, overflowing_files: CheckpointFiles, is_early: bool
) -> None:
    request = random_request(1, checkpoint="overflowing@1")
    early = EarlyRequest(
        request.checkpoint, request.semantic_tokens, 16, request.phoneme_ids, request.reference,
        request.seed,
    )  # fmt: skip

    async def scenario() -> None:
        engine = make_engine(overflowing_files)
        await (engine.synthesize_early(early) if is_early else chunks_of(engine, request))

    with pytest.raises(CheckpointUnusable, match="overflowing@1 makes samples that are not finite"):
        asyncio.run(scenario())
