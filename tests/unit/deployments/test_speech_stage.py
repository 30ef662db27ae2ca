import asyncio

import pytest

from deployments.engine.batching.scheduler import QueueFull
from deployments.engine.batching.stepping import EngineStopped
from deployments.engine.speech.checkpoint_files import CheckpointUnusable
from deployments.errors import (
    DamagedRecord,
    GenerationFailed,
    InvalidInput,
    NotReady,
    Overloaded,
    SpeechError,
)
from deployments.speech_stage import Preloading, speech_errors
from models.storage import StorageUnavailable


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (QueueFull("32 wait"), Overloaded),
        (ValueError("ids out of range"), InvalidInput),
        (CheckpointUnusable("small@1 is not stored"), DamagedRecord),
        (EngineStopped("the thread has ended"), NotReady),
        (StorageUnavailable("the disk does not answer"), NotReady),
    ],
)
def test_what_an_engine_raises_is_told_with_its_reason(
    raised: Exception, told: type[SpeechError]
) -> None:
    with pytest.raises(told, match=str(raised)), speech_errors():
        raise raised


def test_a_failure_that_nobody_foresaw_is_told_without_its_details() -> None:
    with pytest.raises(GenerationFailed, match="could not be computed$"), speech_errors():
        raise RuntimeError("CUDA out of memory at 0x7f")


def test_an_error_that_callers_may_see_stays_as_it_is() -> None:
    with pytest.raises(Overloaded, match="full"), speech_errors():
        raise Overloaded("full")


def test_whoever_finds_the_stage_full_learns_when_to_come_back() -> None:
    with pytest.raises(Overloaded) as caught, speech_errors():
        raise QueueFull("full")
    assert caught.value.extensions["retry_after_s"] > 0


def test_a_checkpoint_that_can_not_be_loaded_ahead_does_not_stop_the_others() -> None:
    loaded = []

    async def load(name: str) -> None:
        if name == "damaged@1":
            raise CheckpointUnusable(name)
        loaded.append(name)

    asyncio.run(Preloading(load, ["a@1", "damaged@1", "b@1"]).finish())
    assert loaded == ["a@1", "b@1"]


def test_loading_ahead_is_done_once() -> None:
    loaded = []

    async def load(name: str) -> None:
        loaded.append(name)

    async def scenario() -> None:
        preloading = Preloading(load, ["a@1"])
        await asyncio.gather(preloading.finish(), preloading.finish())
        await preloading.finish()

    asyncio.run(scenario())
    assert loaded == ["a@1"]


def test_a_stage_becomes_ready_when_the_storage_comes_back() -> None:
    answers = [StorageUnavailable("the disk does not answer"), None]

    async def load(name: str) -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    async def scenario() -> None:
        preloading = Preloading(load, ["a@1"])
        with pytest.raises(NotReady):
            await preloading.finish()
        await preloading.finish()

    asyncio.run(scenario())
    assert answers == []
