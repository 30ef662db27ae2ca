import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from deployments.engine.batching.engine import BatchingEngine, QueueFull
from deployments.engine.batching.stepping import Chunk, EngineStopped, Load, SteppingEngine
from tests.unit.engine.counting_runner import CountingRunner, Result


class GatedRunner(CountingRunner):
    """Steps only as often as it is allowed to, so that a test decides what runs when."""

    def __init__(self, num_slots: int) -> None:
        super().__init__(num_slots)
        self.allowed = threading.Semaphore(0)
        self.is_open = False

    def step(self) -> list[Result]:
        if not self.is_open:
            self.allowed.acquire()
        return super().step()

    def open(self) -> None:
        """Let all further steps run."""
        self.is_open = True
        self.allowed.release()

    @property
    def num_steps(self) -> int:
        return sum(entry.startswith("step") for entry in self.log)


@pytest.fixture
def runner() -> GatedRunner:
    return GatedRunner(num_slots=2)


@pytest.fixture
def engine(runner: GatedRunner) -> Iterator[SteppingEngine[int, int]]:
    engine = SteppingEngine[int, int]("test", BatchingEngine(max_waiting=1))
    engine.add_group("a", runner, num_slots=2)
    yield engine
    runner.open()
    engine.stop()


async def collect(chunks: AsyncIterator[Chunk[int]]) -> list[Chunk[int]]:
    return [chunk async for chunk in chunks]


async def until(condition: object) -> None:
    """Wait for what another thread is about to do."""
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.001)


def test_tokens_arrive_in_groups_and_the_last_group_says_how_it_ended(
    engine: SteppingEngine[int, int], runner: GatedRunner
) -> None:
    runner.open()
    chunks = asyncio.run(collect(engine.stream("a", 7, tokens_per_chunk=3)))
    assert [chunk.tokens for chunk in chunks] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [chunk.outcome for chunk in chunks] == [None, None, "stop"]


def test_leaving_the_stream_frees_the_slot_within_two_steps(
    engine: SteppingEngine[int, int], runner: GatedRunner
) -> None:
    async def scenario() -> int:
        async with aclosing(engine.stream("a", 1000)) as chunks:
            runner.allowed.release()
            await anext(chunks)
            steps_before = runner.num_steps
        runner.open()
        await until(lambda: engine.load == Load())
        return runner.num_steps - steps_before

    assert asyncio.run(scenario()) <= 2
    assert runner.slots == {}


def test_cancelling_the_task_that_reads_frees_the_slot(
    engine: SteppingEngine[int, int], runner: GatedRunner
) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(collect(engine.stream("a", 1000)))
        runner.allowed.release()
        await until(lambda: runner.num_steps == 1)
        task.cancel()
        runner.open()
        await until(lambda: engine.load == Load())

    asyncio.run(scenario())
    assert runner.slots == {}


def test_a_full_queue_refuses_and_leaves_the_others_alone(
    engine: SteppingEngine[int, int], runner: GatedRunner
) -> None:
    async def scenario() -> list[list[Chunk[int]]]:
        tasks = [asyncio.create_task(collect(engine.stream("a", 3))) for _ in range(3)]
        # Two run, as one joins before each step; one waits.
        for num_steps in (1, 2):
            runner.allowed.release()
            await until(lambda num_steps=num_steps: runner.num_steps == num_steps)
        await until(lambda: engine.load == Load(2, 1))
        runner.allowed.release()
        with pytest.raises(QueueFull):
            await collect(engine.stream("a", 3))
        runner.open()
        return await asyncio.gather(*tasks)

    streams = asyncio.run(scenario())
    assert [[c.tokens[0] for c in chunks if c.tokens] for chunks in streams] == [[0, 1, 2]] * 3


def test_a_malformed_request_raises_what_the_runner_said(
    engine: SteppingEngine[int, int], runner: GatedRunner
) -> None:
    runner.open()
    with pytest.raises(ValueError):
        asyncio.run(collect(engine.stream("a", -1)))
    assert asyncio.run(collect(engine.stream("a", 1)))[0].tokens == [0]


def test_the_load_is_published_whenever_it_changes(runner: GatedRunner) -> None:
    loads: list[Load] = []
    engine = SteppingEngine[int, int]("test", BatchingEngine(max_waiting=1), loads.append)
    engine.add_group("a", runner, num_slots=2)
    runner.open()
    asyncio.run(collect(engine.stream("a", 3)))
    engine.stop()
    assert loads[-1] == Load()
    assert Load(1, 0) in loads


def test_after_the_stop_nobody_waits_for_ever(runner: GatedRunner) -> None:
    async def scenario() -> None:
        engine = SteppingEngine[int, int]("test", BatchingEngine(max_waiting=1))
        engine.add_group("a", runner, num_slots=2)
        task = asyncio.create_task(collect(engine.stream("a", 10**9)))
        runner.allowed.release()
        await until(lambda: runner.num_steps == 1)
        stopping = asyncio.create_task(asyncio.to_thread(engine.stop))
        runner.open()
        await stopping
        for stream in (task, collect(engine.stream("a", 1))):
            with pytest.raises(EngineStopped):
                await stream

    asyncio.run(scenario())


def test_who_asks_while_the_thread_breaks_down_is_told_so(runner: GatedRunner) -> None:
    is_breaking, may_break = threading.Event(), threading.Event()

    def break_down(load: Load) -> None:
        is_breaking.set()
        may_break.wait(10)
        raise RuntimeError("no metrics")

    async def scenario() -> None:
        engine = SteppingEngine[int, int]("test", BatchingEngine(max_waiting=1), break_down)
        engine.add_group("a", runner, num_slots=2)
        runner.open()
        running = asyncio.create_task(collect(engine.stream("a", 1000)))
        await until(is_breaking.is_set)
        late = asyncio.create_task(collect(engine.stream("a", 1)))
        await asyncio.sleep(0)
        may_break.set()
        async with asyncio.timeout(10):
            for stream in (running, late):
                with pytest.raises(EngineStopped):
                    await stream

    asyncio.run(scenario())
