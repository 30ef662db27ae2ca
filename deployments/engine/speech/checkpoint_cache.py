"""Checkpoints in memory: a bounded number, loaded on demand, kept while they are in use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from deployments.engine.batching.scheduler import QueueFull

Loaded = TypeVar("Loaded")

PATIENCE_S = 10.0
"""How long a checkpoint waits for one to fall idle; a segment seldom takes as long."""


@dataclass
class _Entry(Generic[Loaded]):
    loading: asyncio.Task[Loaded]
    num_leases: int = 0
    is_loaded: bool = False
    makes_way_for: str | None = None

    @property
    def is_idle(self) -> bool:
        return self.num_leases == 0 and self.is_loaded


@dataclass(eq=False)
class _Caller(Generic[Loaded]):
    name: str
    lease: asyncio.Future[_Entry[Loaded]]
    is_patient: bool = True


class CheckpointCache(Generic[Loaded]):
    """Lends checkpoints by name. For one event loop.

    A checkpoint is loaded once however many wait for it. Where there is no room, the one that has
    been unused for longest goes; while all are lent, further ones wait, first come, first served.
    A checkpoint may be lent without a pause: after `patience_s` it is lent to nobody else until the
    one that waits has taken its place.

    Args:
        load: reads a checkpoint; its exception reaches everyone who waits for that checkpoint.
        unload: told of each checkpoint that goes.
        max_loaded: checkpoints in memory at most.
        max_waiting: callers that may wait for room.
        patience_s: seconds a caller waits before a checkpoint in use has to make way.
    """

    def __init__(
        self,
        load: Callable[[str], Coroutine[Any, Any, Loaded]],
        unload: Callable[[str], None],
        max_loaded: int,
        max_waiting: int,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._load = load
        self._unload = unload
        self._max_loaded = max_loaded
        self._max_waiting = max_waiting
        self._patience_s = patience_s
        self._entries: OrderedDict[str, _Entry[Loaded]] = OrderedDict()
        self._waiting: list[_Caller[Loaded]] = []

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Loaded]:
        """The checkpoint; it stays in memory until the block ends.

        Raises:
            QueueFull: too many wait for room already.
            Exception: what loading it raised; the next caller tries again.
        """
        entry = await self._borrow(name)
        try:
            # Others may wait for it too, so a caller that leaves must not end the loading.
            yield await asyncio.shield(entry.loading)
        finally:
            self._give_back(entry)

    async def _borrow(self, name: str) -> _Entry[Loaded]:
        loop = asyncio.get_running_loop()
        caller = _Caller[Loaded](name, loop.create_future())
        self._waiting.append(caller)
        self._lend()
        if not caller.lease.done() and len(self._waiting) > self._max_waiting:
            self._waiting.remove(caller)
            raise QueueFull(f"{self._max_waiting} requests wait for a checkpoint to be loaded")
        losing_patience = loop.call_later(self._patience_s, self._lose_patience, caller)
        try:
            return await caller.lease
        except asyncio.CancelledError:
            if caller in self._waiting:
                self._waiting.remove(caller)
                self._lend()
            else:  # it was lent in the very moment in which its caller left
                self._give_back(caller.lease.result())
            raise
        finally:
            losing_patience.cancel()

    def _give_back(self, entry: _Entry[Loaded]) -> None:
        entry.num_leases -= 1
        self._lend()

    def _lose_patience(self, caller: _Caller[Loaded]) -> None:
        caller.is_patient = False
        self._lend()

    def _lend(self) -> None:
        """Give those who wait what can be lent; room goes to whoever has waited for longest."""
        has_room = True
        for caller in list(self._waiting):
            if caller.lease.cancelled():  # about to leave
                continue
            entry = self._entries.get(caller.name)
            if entry is None and has_room and (has_room := self._has_room()):
                entry = self._begin_loading(caller.name)
            if entry is None or entry.makes_way_for is not None:
                continue
            self._waiting.remove(caller)
            entry.num_leases += 1
            self._entries.move_to_end(caller.name)
            caller.lease.set_result(entry)
        self._let_make_way()

    def _let_make_way(self) -> None:
        """One checkpoint in use for each that has waited for too long; none for any other."""
        wanted = dict.fromkeys(caller.name for caller in self._waiting if not caller.is_patient)
        for entry in self._entries.values():
            if entry.makes_way_for not in wanted:
                entry.makes_way_for = None
        in_use = [entry for entry in self._entries.values() if entry.makes_way_for is None]
        served = {entry.makes_way_for for entry in self._entries.values()}
        unserved = [name for name in wanted if name not in self._entries and name not in served]
        for name, entry in zip(unserved, in_use, strict=False):
            entry.makes_way_for = name

    def _has_room(self) -> bool:
        """Whether one more may be loaded; makes room if that is possible."""
        if len(self._entries) < self._max_loaded:
            return True
        idle = next((name for name, entry in self._entries.items() if entry.is_idle), None)
        if idle is None:
            return False
        del self._entries[idle]
        self._unload(idle)
        return True

    def _begin_loading(self, name: str) -> _Entry[Loaded]:
        entry = self._entries[name] = _Entry(asyncio.create_task(self._load(name)))
        entry.loading.add_done_callback(lambda loading: self._end_loading(name, loading))
        return entry

    def _end_loading(self, name: str, loading: asyncio.Task[Loaded]) -> None:
        if loading.cancelled() or loading.exception() is not None:
            del self._entries[name]
        else:
            self._entries[name].is_loaded = True
        self._lend()
