"""Whose turn it is, where the batches are made by somebody else."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Never, TypeVar

from deployments.engine.batching.priority import Priority
from deployments.engine.batching.scheduler import QueueFull, Scheduler
from deployments.engine.batching.sequence import Sequence

Lent = TypeVar("Lent")

_GROUP = "base"


class Slots:
    """Places for lines that are written together, in the order of `Scheduler`. For one event loop.

    Args:
        num_slots: lines that are written together.
        max_waiting: lines that may wait, for a place or what else they need; one more is refused.
    """

    def __init__(self, num_slots: int, max_waiting: int) -> None:
        self._max_lines = num_slots + max_waiting
        self._num_lines = 0
        self._scheduler: Scheduler[asyncio.Future[None], Never] = Scheduler(max_waiting)
        self._scheduler.add_group(_GROUP, num_slots)
        self._numbers = itertools.count()

    @property
    def num_running(self) -> int:
        """Lines that hold a place."""
        return self._scheduler.num_running

    @property
    def num_waiting(self) -> int:
        """Lines that wait for one, or for what they need before it."""
        return self._num_lines - self.num_running

    @asynccontextmanager
    async def taken(
        self, priority: Priority, needed: AbstractAsyncContextManager[Lent]
    ) -> AsyncIterator[Lent]:
        """Hold a place within the block, and what the line needs besides; that is waited for first.

        Raises:
            QueueFull: too many wait already.
            Exception: what waiting for it raised.
        """
        if self._num_lines >= self._max_lines:
            raise QueueFull("as many lines wait as may wait")
        self._num_lines += 1
        try:
            async with needed as lent, self._place(priority):
                yield lent
        finally:
            self._num_lines -= 1

    @asynccontextmanager
    async def _place(self, priority: Priority) -> AsyncIterator[None]:
        turn = asyncio.get_running_loop().create_future()
        line: Sequence[asyncio.Future[None], Never] = Sequence(
            f"line-{next(self._numbers)}", _GROUP, turn, priority=priority
        )
        self._scheduler.enqueue(line)
        self._let_in()
        try:
            await turn
            yield
        finally:
            self._scheduler.release(line)
            self._let_in()

    def _let_in(self) -> None:
        while (line := self._scheduler.next_to_join(_GROUP)) is not None:
            self._scheduler.started(line, next(self._numbers))
            if not line.request.cancelled():  # then it is about to leave
                line.request.set_result(None)
