import asyncio
from collections.abc import Coroutine

import pytest

from deployments.engine.batching.priority import MAX_OVERTAKEN, Priority
from deployments.engine.batching.turn import Turn


class Stage:
    """Does one thing at a time, and notes in which order."""

    def __init__(self) -> None:
        self._turn = Turn()
        self.order: list[str] = []
        self.num_inside = 0

    async def do(self, name: str, priority: Priority = "interactive") -> None:
        async with self._turn.of(priority):
            self.num_inside += 1
            assert self.num_inside == 1
            self.order.append(name)
            try:
                await asyncio.sleep(0)
            finally:
                self.num_inside -= 1


def run(*calls: Coroutine[None, None, None]) -> None:
    async def scenario() -> None:
        await asyncio.gather(*calls)

    asyncio.run(scenario())


def test_listeners_go_before_jobs_and_each_in_the_order_they_came() -> None:
    stage = Stage()
    run(
        stage.do("first job", "batch"),
        stage.do("second job", "batch"),
        stage.do("third job", "batch"),
        stage.do("listener"),
        stage.do("other listener"),
    )
    assert stage.order == ["first job", "listener", "other listener", "second job", "third job"]


def test_a_job_has_its_turn_among_listeners_without_end() -> None:
    stage = Stage()
    listeners = [stage.do("listener") for _ in range(3 * MAX_OVERTAKEN)]
    run(stage.do("first"), stage.do("job", "batch"), *listeners)
    assert stage.order.index("job") == 1 + MAX_OVERTAKEN


@pytest.mark.parametrize("num_steps", range(4))
def test_who_leaves_while_waiting_holds_up_nobody(num_steps: int) -> None:
    stage = Stage()

    async def scenario() -> None:
        first = asyncio.create_task(stage.do("first"))
        leaving = asyncio.create_task(stage.do("leaving"))
        last = asyncio.create_task(stage.do("last"))
        for _ in range(num_steps):  # waiting, or its turn has come, or it has begun
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(first, last)

    asyncio.run(asyncio.wait_for(scenario(), 5))
    assert [name for name in stage.order if name != "leaving"] == ["first", "last"]
