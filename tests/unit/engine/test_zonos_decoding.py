"""Zonos' second stage: windows of codes to sound, for many callers at once."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deployments.engine.speech.checkpoint_files import CheckpointUnusable
from deployments.engine.speech.zonos_decoding import CodecBatch, CodecEngine, DecodingSettings
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.engine.speech.zonos_protocol import CodeWindow, Waveform
from models.storage import FolderStore, ObjectStore, StorageUnavailable
from models.zonos.windows import next_window
from tests.zonos_network import random_zonos
from tests.zonos_store import publish_zonos_checkpoint, random_dac


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ZonosFiles:
    store = FolderStore(tmp_path_factory.mktemp("zonos"))
    publish_zonos_checkpoint(store, "small")
    return ZonosFiles([store])


@pytest.fixture
def engine(files: ZonosFiles) -> Iterator[CodecEngine]:
    engine = CodecEngine(files, DecodingSettings(max_batch=4))
    yield engine
    engine.stop()


def codes(num_frames: int, seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(0, 1024, (num_frames, 9)).astype(np.int16)


def window(num_frames: int, seed: int = 0) -> CodeWindow:
    return CodeWindow("small@1", codes(num_frames, seed), 0, num_frames)


def test_windows_joined_are_the_sound_of_the_whole(engine: CodecEngine) -> None:
    frames = codes(190, seed=1)

    async def spoken() -> list[Waveform]:
        chunks: list[Waveform] = []
        num_decoded = 0
        while part := next_window(num_decoded, len(frames), True, num_decoded == 0):
            inside = frames[part.first : part.last]
            place = part.start - part.first, part.stop - part.first
            chunks.append(await engine.decode(CodeWindow("small@1", inside, *place)))
            num_decoded = part.stop
        return chunks

    chunks = asyncio.run(spoken())
    whole = random_dac().decode(torch.from_numpy(frames[None].astype(np.int64)))[0].numpy()
    assert len(chunks) == 2
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=1e-5 * np.abs(whole).max())


def test_a_window_sounds_together_with_others_as_it_does_alone() -> None:
    windows = [window(num_frames, seed) for seed, num_frames in enumerate((5, 7, 5))]

    def spoken(windows: list[CodeWindow]) -> dict[int, Waveform]:
        batch = CodecBatch(random_dac(), max_batch=3)
        slots = {batch.join(each): number for number, each in enumerate(windows)}
        found: dict[int, Waveform] = {}
        while len(found) < len(windows):
            for result in batch.step():
                assert result.token is not None and result.finish_reason == "end"
                found[slots[result.slot]] = result.token
        return found

    together = spoken(windows)
    for number, each in enumerate(windows):
        np.testing.assert_allclose(together[number], spoken([each])[0], atol=1e-5)


def test_windows_of_one_length_are_decoded_in_one_call() -> None:
    batch = CodecBatch(random_dac(), max_batch=3)
    slots = [batch.join(window(num_frames)) for num_frames in (5, 7, 5)]
    assert [result.slot for result in batch.step()] == [slots[0], slots[2]]
    assert [result.slot for result in batch.step()] == [slots[1]]


def test_a_window_that_is_left_is_not_decoded() -> None:
    batch = CodecBatch(random_dac(), max_batch=2)
    left, kept = batch.join(window(5)), batch.join(window(5))
    batch.leave(left)
    assert [result.slot for result in batch.step()] == [kept]
    with pytest.raises(ValueError, match="holds no window"):
        batch.leave(kept)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": 5}, "frames 5 to 5 of 5"),
        ({"stop": 6}, "frames 0 to 6 of 5"),
        ({"codes": codes(5, 0)[:, :8]}, r"codes must be \(frame, 9\)"),
        ({"codes": np.full((5, 9), 1024, np.int16)}, r"codes must lie in \[0, 1024\)"),
        ({"codes": np.zeros((500, 9), np.int16), "stop": 500}, "a window has 1 to 192 frames"),
    ],
)
def test_a_window_that_is_none_is_refused(
    engine: CodecEngine, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        asyncio.run(engine.decode(replace(window(5), **changes)))  # type: ignore[arg-type]


def test_a_checkpoint_that_is_not_stored_or_of_another_family_can_not_be_served(
    engine: CodecEngine, files: ZonosFiles, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointUnusable, match="other@1 is not stored"):
        asyncio.run(engine.decode(replace(window(5), checkpoint="other@1")))
    store = FolderStore(tmp_path)
    store.write("checkpoints/sovits/1/checkpoint.json", b'{"family": "gpt_sovits_v2"}')
    with pytest.raises(CheckpointUnusable, match="family"):
        ZonosFiles([store]).codec("sovits@1", torch.float32)


class Elsewhere:
    """A store that is not a folder of this machine."""

    def __init__(self, store: FolderStore) -> None:
        self.read, self.size, self.read_range = store.read, store.size, store.read_range


def test_a_checkpoint_is_read_from_wherever_it_lies(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    publish_zonos_checkpoint(store, "small")
    remote: ObjectStore = Elsewhere(store)  # type: ignore[assignment]

    codec = ZonosFiles([remote]).codec("small@1", torch.float32)
    backbone = ZonosFiles([remote]).backbone("small@1", torch.float32)

    frames = torch.from_numpy(codes(3, seed=2).astype(np.int64))[None]
    assert torch.equal(codec.decode(frames), random_dac().decode(frames))
    expected = random_zonos().state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize("call", ["read", "read_range"])
def test_a_store_that_does_not_answer_is_no_fault_of_the_checkpoint(
    tmp_path: Path, call: str
) -> None:
    store = FolderStore(tmp_path)
    publish_zonos_checkpoint(store, "small")
    remote = Elsewhere(store)

    def does_not_answer(*arguments: object) -> bytes:
        raise StorageUnavailable("no answer")

    setattr(remote, call, does_not_answer)
    with pytest.raises(StorageUnavailable, match="no answer"):
        ZonosFiles([remote]).codec("small@1", torch.float32)  # type: ignore[list-item]


def test_a_checkpoint_names_its_licence_and_makes_speakers(files: ZonosFiles) -> None:
    speaker = files.speaker("small@1").embed(torch.randn(16_000), 16_000)
    assert speaker.shape == (128,)
    assert files.licence("small@1") == "Apache-2.0"
