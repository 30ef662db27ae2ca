"""Zonos' first stage as an engine: published checkpoints in, frames out, for many callers."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deployments.engine.speech.checkpoint_files import CheckpointUnusable
from deployments.engine.speech.zonos_codes import CodeEngine, CodeSettings
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.engine.speech.zonos_protocol import CodeRequest, FrameChunk
from models.storage import FolderStore
from models.zonos.columns import Frame
from models.zonos.conditions import Conditions
from models.zonos.generation import ZonosRequest, generate
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.sampling import SamplingSettings
from tests.zonos_network import random_frames, random_zonos
from tests.zonos_store import publish_zonos_checkpoint

SETTINGS = CodeSettings(num_slots=2, capacity=512, max_waiting=2, frames_per_chunk=5)
SPEAKER = torch.randn(128, generator=torch.Generator().manual_seed(0))

Test = Callable[[CodeEngine], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ZonosFiles:
    store = FolderStore(tmp_path_factory.mktemp("store"))
    publish_zonos_checkpoint(store, "small")
    return ZonosFiles([store])


def with_engine(files: ZonosFiles, test: Test, settings: CodeSettings = SETTINGS) -> None:
    async def run() -> None:
        engine = CodeEngine(files, settings)
        try:
            await test(engine)
        finally:
            engine.stop()

    asyncio.run(run())


def request(seed: int, num_phonemes: int = 6, **fields: Any) -> CodeRequest:
    phoneme_ids = (2, *range(50, 50 + num_phonemes), 3)
    conditions = Conditions(language_id=58, speaker=SPEAKER)
    return CodeRequest("small@1", phoneme_ids, conditions, seed, **{"max_new_frames": 17} | fields)


async def all_chunks(engine: CodeEngine, asked: CodeRequest) -> list[FrameChunk]:
    return [chunk async for chunk in engine.generate(asked)]


def frames_of(chunks: list[FrameChunk]) -> list[Frame]:
    return [tuple(frame) for chunk in chunks for frame in chunk.frames.tolist()]


def frames_alone(asked: CodeRequest) -> list[Frame]:
    """By the single-request path."""
    network = random_zonos()
    prefix = network.prefix_conditioner.guidance_pair(
        torch.tensor(asked.phoneme_ids), asked.conditions.values()
    )
    assert asked.max_new_frames is not None
    alone = ZonosRequest(prefix, asked.seed, asked.prompt, max_new_frames=asked.max_new_frames)
    return generate(GuidedDecoder(network), alone).frames


def test_concurrent_segments_have_the_frames_of_the_single_request_path(files: ZonosFiles) -> None:
    asked = [request(seed, num_phonemes=3 * seed + 1) for seed in range(4)]
    asked[1] = replace(asked[1], prompt=tuple(random_frames(4, seed=0)))

    async def test(engine: CodeEngine) -> None:
        answers = await asyncio.gather(*(all_chunks(engine, one) for one in asked))
        assert [frames_of(chunks) for chunks in answers] == [frames_alone(one) for one in asked]
        for chunks in answers:
            assert all(len(chunk.frames) == 5 for chunk in chunks[:-1])
            assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
            assert chunks[-1].finish_reason in ("stop", "length")

    with_engine(files, test)


def test_a_segment_goes_on_behind_frames_that_another_engine_generated(files: ZonosFiles) -> None:
    whole = request(seed=3)

    async def test(engine: CodeEngine) -> None:
        frames = frames_of(await all_chunks(engine, whole))
        resumed = replace(whole, generated_prefix=tuple(frames[:7]))
        assert frames_of(await all_chunks(engine, resumed)) == frames[7:]

    with_engine(files, test)


def test_a_caller_that_leaves_frees_the_slot(files: ZonosFiles) -> None:
    async def test(engine: CodeEngine) -> None:
        endless = request(seed=0, max_new_frames=400, sampling=SamplingSettings(min_p=0.0))
        async with aclosing(engine.generate(endless)) as chunks:
            await anext(chunks)
            assert engine.load.num_running == 1
        while engine.load.num_running:  # before the next step
            await asyncio.sleep(0.01)

    with_engine(files, test)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"max_new_frames": 500}, r"max_new_frames is 500; .* must be 490 or less"),
        ({"num_phonemes": 130, "max_new_frames": None}, "132 phoneme symbols needs 568 frames"),
        ({"guidance_scale": 1.0}, "guidance_scale"),
        ({"prompt": ((0,) * 8,)}, "prompt must have frames of 9 codes"),
    ],
)
def test_a_segment_that_can_not_be_spoken_is_refused(
    files: ZonosFiles, fields: dict[str, Any], fault: str
) -> None:
    async def test(engine: CodeEngine) -> None:
        with pytest.raises(ValueError, match=fault):
            await all_chunks(engine, request(seed=0, **fields))

    with_engine(files, test)


def test_without_a_limit_a_segment_is_cut_off_after_what_its_text_can_take(
    files: ZonosFiles,
) -> None:
    async def test(engine: CodeEngine) -> None:
        conditions = Conditions(language_id=58, speaking_rate=40.0)
        short = CodeRequest("small@1", (2, 3), conditions, seed=0)
        frames = frames_of(await all_chunks(engine, short))
        assert len(frames) <= round(86.1328125 * (2.0 + 2 * 0.3))

    with_engine(files, test)


def test_a_rate_of_almost_nothing_leaves_a_segment_all_the_room_there_is(
    files: ZonosFiles,
) -> None:
    async def test(engine: CodeEngine) -> None:
        conditions = Conditions(language_id=58, speaking_rate=5e-324)
        slow = CodeRequest("small@1", (2, 3), conditions, seed=0)
        assert await all_chunks(engine, slow)

    with_engine(files, test)


def test_a_checkpoint_that_is_not_stored_or_damaged_is_unusable(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    publish_zonos_checkpoint(store, "damaged")
    store.write("checkpoints/damaged/1/model.safetensors", b"half")

    async def test(engine: CodeEngine) -> None:
        for name, fault in (("damaged@1", "is damaged"), ("absent@1", "is not stored")):
            with pytest.raises(CheckpointUnusable, match=fault):
                await all_chunks(engine, replace(request(seed=0), checkpoint=name))

    with_engine(ZonosFiles([store]), test)
