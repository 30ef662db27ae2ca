import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from deployments.autoscaling.stage_report import stage_report
from deployments.engine.batching.scheduler import QueueFull
from deployments.engine.batching.stepping import EngineStopped, Load
from deployments.engine.speech.checkpoint_files import CheckpointUnusable
from deployments.errors import (
    DamagedRecord,
    GenerationFailed,
    InvalidInput,
    NotReady,
    Overloaded,
    SpeechError,
)
from deployments.messages import StageStats
from deployments.speech_stage import EngineStage, Preloading, StageMetrics, speech_errors
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


class Engine:
    """Has one segment in work and two that wait."""

    load = Load(num_running=1, num_waiting=2)
    is_alive = True

    def __init__(self) -> None:
        self.loaded: list[str] = []

    async def preload(self, checkpoint: str) -> None:
        self.loaded.append(checkpoint)


class Metrics(StageMetrics):
    num_cancels = 0

    def count_cancel(self) -> None:
        self.num_cancels += 1


class Stage(EngineStage[Engine]):
    """Answers with two pieces, and knows at the second that no more will come."""

    def __init__(self) -> None:
        self.engine, self.metrics = Engine(), Metrics("s1", num_slots=4)
        super().__init__("S1", self.engine, self.metrics, ["a@1"])

    async def generate(self, audio_s: float, fault: Exception | None = None) -> AsyncGenerator[int]:
        with self._counted(audio_s) as work:
            for piece in (1, 2):
                work.is_finished = piece == 2
                yield piece
                if fault is not None:
                    raise fault


def test_a_stage_is_ready_once_its_checkpoints_are_loaded_and_while_its_engine_steps() -> None:
    stage = Stage()
    assert asyncio.run(stage.ready())
    assert stage.engine.loaded == ["a@1"]
    stage.check_health()
    stage.engine.is_alive = False
    assert not asyncio.run(stage.ready())
    with pytest.raises(NotReady, match="the thread that steps S1 has ended"):
        stage.check_health()


def test_audio_is_queued_from_the_call_to_its_end() -> None:
    async def scenario() -> None:
        stage = Stage()
        async with aclosing(stage.generate(1.5)) as first, aclosing(stage.generate(2.0)) as second:
            await anext(first)
            await anext(second)
            assert await stage.stats() == StageStats(1, 2, 3.5)
            report = stage_report(StageStats(1, 2, 3.5), num_slots=4)
            assert await stage.record_autoscaling_stats() == report
            assert [piece async for piece in first] == [2]
            assert await stage.stats() == StageStats(1, 2, 2.0)
        assert await stage.stats() == StageStats(1, 2, 0.0)

    asyncio.run(scenario())


@pytest.mark.parametrize(("num_heard", "num_cancels"), [(1, 1), (2, 0)])
def test_a_caller_that_leaves_is_counted_unless_it_has_all(
    num_heard: int, num_cancels: int
) -> None:
    async def scenario() -> None:
        stage = Stage()
        async with aclosing(stage.generate(1.0)) as pieces:
            for _ in range(num_heard):
                await anext(pieces)
        assert stage.metrics.num_cancels == num_cancels
        assert await stage.stats() == StageStats(1, 2, 0.0)

    asyncio.run(scenario())


def test_a_call_that_fails_is_told_why_and_owes_nothing() -> None:
    async def scenario() -> None:
        stage = Stage()
        with pytest.raises(Overloaded, match="full"):
            async for _ in stage.generate(1.0, QueueFull("full")):
                pass
        assert stage.metrics.num_cancels == 0
        assert await stage.stats() == StageStats(1, 2, 0.0)

    asyncio.run(scenario())
