"""Checkpoints in memory: a bounded number, loaded on demand, kept while they are in use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from deployments.engine.batching.scheduler import QueueFull

Loaded = TypeVar("Loaded")


@dataclass
class _Entry(Generic[Loaded]):
    loading: asyncio.Task[Loaded]
    num_leases: int = 0
    is_loaded: bool = False

    @property
    def is_idle(self) -> bool:
        return self.num_leases == 0 and self.is_loaded


class CheckpointCache(Generic[Loaded]):
    """Lends checkpoints by name. For one event loop.

    A checkpoint is loaded once however many wait for it. Where there is no room, the one that has
    been unused for longest goes; while all are lent, further ones wait.

    Args:
        load: reads a checkpoint; its exception reaches everyone who waits for that checkpoint.
        unload: told of each checkpoint that goes.
        max_loaded: checkpoints in memory at most.
        max_waiting: callers that may wait for room.
    """

    def __init__(
        self,
        load: Callable[[str], Awaitable[Loaded]],
        unload: Callable[[str], None],
        max_loaded: int,
        max_waiting: int,
    ) -> None:
        self._load = load
        self._unload = unload
        self._max_loaded = max_loaded
        self._max_waiting = max_waiting
        self._num_waiting = 0
        self._entries: OrderedDict[str, _Entry[Loaded]] = OrderedDict()
        self._may_have_room = asyncio.Condition()

    @property
    def names(self) -> list[str]:
        """Of all checkpoints in memory or on their way there, the least recently used first."""
        return list(self._entries)

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Loaded]:
        """The checkpoint; it stays in memory until the block ends.

        Raises:
            QueueFull: too many wait for room already.
            Exception: what loading it raised; the next caller tries again.
        """
        if name not in self._entries:
            await self._wait_for_room(name)
        if name not in self._entries:
            self._entries[name] = _Entry(asyncio.create_task(self._loaded(name)))
        entry = self._entries[name]
        entry.num_leases += 1
        self._entries.move_to_end(name)
        try:
            # Others may wait for it too, so a caller that leaves must not end the loading.
            yield await asyncio.shield(entry.loading)
        finally:
            entry.num_leases -= 1
            await self._tell_waiting()

    async def _loaded(self, name: str) -> Loaded:
        try:
            loaded = await self._load(name)
            self._entries[name].is_loaded = True
            return loaded
        except BaseException:
            del self._entries[name]
            raise
        finally:
            await self._tell_waiting()

    async def _tell_waiting(self) -> None:
        async with self._may_have_room:
            self._may_have_room.notify_all()

    async def _wait_for_room(self, name: str) -> None:
        if self._num_waiting >= self._max_waiting:
            raise QueueFull(f"{self._num_waiting} requests wait for a checkpoint to be loaded")
        self._num_waiting += 1
        try:
            async with self._may_have_room:
                await self._may_have_room.wait_for(lambda: self._has_room_for(name))
        finally:
            self._num_waiting -= 1

    def _has_room_for(self, name: str) -> bool:
        """Whether it is there or may be loaded; makes room if that is possible."""
        if name in self._entries or len(self._entries) < self._max_loaded:
            return True
        idle = next((name for name, entry in self._entries.items() if entry.is_idle), None)
        if idle is None:
            return False
        del self._entries[idle]
        self._unload(idle)
        return True
