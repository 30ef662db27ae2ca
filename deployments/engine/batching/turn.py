"""A turn that only one may have at a time, taken in the order of a `WaitingLine`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from deployments.engine.batching.priority import Priority, WaitingLine


class Turn:
    """Like `asyncio.Lock`, with priorities. For one event loop."""

    def __init__(self) -> None:
        self._line: WaitingLine[asyncio.Future[None]] = WaitingLine()
        self._is_taken = False

    @asynccontextmanager
    async def of(self, priority: Priority) -> AsyncGenerator[None]:
        """Wait for the turn; it is passed on when the block ends."""
        await self._wait(priority)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, priority: Priority) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        begin = asyncio.get_running_loop().create_future()
        self._line.append(begin, priority)
        try:
            await begin
        except asyncio.CancelledError:
            if begin in self._line:
                self._line.remove(begin)
            elif not begin.cancelled():  # its turn came in the very moment in which it left
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while (begin := self._line.take()) is not None:
            if not begin.done():
                begin.set_result(None)
                return
        self._is_taken = False
