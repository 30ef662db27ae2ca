"""Places for lines: so many at once, listeners first, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import pytest

from deployments.engine.batching.priority import Priority
from deployments.engine.batching.scheduler import QueueFull
from deployments.engine.persona.slots import Slots


class Line:
    """A line in the making, as a task; it is written until it is told to end."""

    def __init__(self, slots: Slots, order: list[str], name: str, priority: Priority) -> None:
        self._slots, self._order, self._name, self._priority = slots, order, name, priority
        self._end = asyncio.Event()
        self.task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        async with self._slots.taken(self._priority, nullcontext()):
            self._order.append(self._name)
            await self._end.wait()

    async def end(self) -> None:
        self._end.set()
        await self.task
        await settle()

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await settle()


async def settle() -> None:
    """Let every task go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_line_waits_for_one_to_end_and_a_listener_for_no_job() -> None:
    async def act() -> list[str]:
        slots, order = Slots(1, 2), list[str]()
        first = Line(slots, order, "first", "interactive")
        job = Line(slots, order, "job", "batch")
        listener = Line(slots, order, "listener", "interactive")
        await settle()
        assert (order, slots.num_running, slots.num_waiting) == (["first"], 1, 2)
        for line in (first, listener, job):
            await line.end()
        assert (slots.num_running, slots.num_waiting) == (0, 0)
        return order

    assert asyncio.run(act()) == ["first", "listener", "job"]


def test_one_more_than_may_wait_is_refused() -> None:
    async def act() -> None:
        slots = Slots(1, 0)
        line = Line(slots, [], "first", "interactive")
        await settle()
        with pytest.raises(QueueFull):
            async with slots.taken("interactive", nullcontext()):
                pass
        await line.end()

    asyncio.run(act())


def test_who_leaves_makes_room_running_or_waiting() -> None:
    async def act() -> list[str]:
        slots, order = Slots(1, 2), list[str]()
        running, waiting, last = (
            Line(slots, order, name, "interactive") for name in ("running", "waiting", "last")
        )
        await settle()
        await waiting.leave()
        await running.leave()
        await last.end()
        assert (slots.num_running, slots.num_waiting) == (0, 0)
        return order

    assert asyncio.run(act()) == ["running", "last"]


def test_who_leaves_at_the_moment_of_its_turn_passes_it_on() -> None:
    async def act() -> list[str]:
        slots, order = Slots(1, 2), list[str]()
        running, leaving, last = (
            Line(slots, order, name, "interactive") for name in ("running", "leaving", "last")
        )
        await settle()
        running.task.cancel()
        leaving.task.cancel()
        await settle()
        await last.end()
        return order

    assert asyncio.run(act()) == ["running", "last"]


def test_who_waits_for_what_a_line_needs_counts_as_waiting() -> None:
    is_there = asyncio.Event()

    @asynccontextmanager
    async def adapter() -> AsyncIterator[str]:
        await is_there.wait()
        yield "adapter"

    async def write(slots: Slots) -> str:
        async with slots.taken("interactive", adapter()) as lent:
            assert slots.num_running == 1
            return lent

    async def act() -> None:
        slots = Slots(1, 1)
        lines = [asyncio.create_task(write(slots)) for _ in range(2)]
        await settle()
        assert (slots.num_running, slots.num_waiting) == (0, 2)
        with pytest.raises(QueueFull):
            await write(slots)
        is_there.set()
        assert await asyncio.gather(*lines) == ["adapter", "adapter"]
        assert (slots.num_running, slots.num_waiting) == (0, 0)

    asyncio.run(act())


def test_a_line_that_does_not_get_what_it_needs_leaves_nothing_behind() -> None:
    @asynccontextmanager
    async def damaged() -> AsyncIterator[None]:
        raise ValueError("damaged")
        yield

    async def act() -> None:
        slots = Slots(1, 0)
        for _ in range(2):
            with pytest.raises(ValueError, match="damaged"):
                async with slots.taken("interactive", damaged()):
                    pass
        assert (slots.num_running, slots.num_waiting) == (0, 0)

    asyncio.run(act())
