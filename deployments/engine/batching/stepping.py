"""A batching engine on a thread of its own, spoken to from event loops.

The thread owns the engine: everything asked of it travels through one inbox, which is emptied
between two steps. So a cancelled sequence takes part in one more step at most, the one that runs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal

from deployments.engine.batching.engine import BatchingEngine, Event, QueueFull, Runner
from deployments.engine.batching.priority import Priority
from deployments.engine.batching.sequence import Request, Token

logger = logging.getLogger(__name__)

Outcome = Literal["stop", "length", "loop"]


class EngineStopped(Exception):
    """The stepping thread has ended; nothing is generated any more."""


@dataclass(frozen=True)
class Chunk(Generic[Token]):
    """Consecutive tokens of a sequence; the last chunk says how it ended, and may hold none."""

    tokens: list[Token]
    outcome: Outcome | None


@dataclass(frozen=True)
class Load:
    """How many sequences are in slots, and how many wait for one."""

    num_running: int = 0
    num_waiting: int = 0


class SteppingEngine(Generic[Request, Token]):
    """Steps a `BatchingEngine` whenever it has work.

    Args:
        name: of the thread.
        engine: belongs to the thread from now on.
        on_load: called on the thread whenever the load has changed.
    """

    def __init__(
        self,
        name: str,
        engine: BatchingEngine[Request, Token],
        on_load: Callable[[Load], None] = lambda load: None,
    ) -> None:
        self._engine = engine
        self._on_load = on_load
        self._load = Load()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._outlets: dict[str, _Outlet[Token]] = {}
        self._ids = itertools.count()
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def load(self) -> Load:
        """As of the latest step."""
        return self._load

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def add_group(self, name: str, runner: Runner[Request, Token], num_slots: int) -> None:
        """Serve one more checkpoint, before anything submitted after this call."""
        self._inbox.put(lambda: self._engine.add_group(name, runner, num_slots))

    def remove_group(self, name: str) -> None:
        """Stop serving a checkpoint whose sequences have all ended or been left."""
        self._inbox.put(lambda: self._engine.remove_group(name))

    def stop(self) -> None:
        """End the thread after the step it is in; who still waits gets `EngineStopped`."""
        self._inbox.put(None)
        self._thread.join()

    async def stream(
        self,
        group: str,
        request: Request,
        prefix: Sequence[Token] = (),
        tokens_per_chunk: int = 1,
        priority: Priority = "interactive",
    ) -> AsyncGenerator[Chunk[Token]]:
        """Generate one sequence; leaving the iterator frees its slot before the next step.

        Args:
            group, request, prefix: see `BatchingEngine.submit`.
            tokens_per_chunk: tokens that are handed over together; the last chunk may hold fewer.
            priority: whether somebody listens.

        Raises:
            QueueFull: too many sequences wait.
            ValueError: the request is malformed or does not fit.
            EngineStopped: the thread has ended.
            NotFinite: what was computed is no number.
            Exception: whatever broke a step that the sequence took alone.
        """
        sequence_id = str(next(self._ids))
        outlet = _Outlet[Token](asyncio.get_running_loop(), tokens_per_chunk)
        # In this order: the thread that ends sees the outlet, or its end is seen here.
        self._outlets[sequence_id] = outlet
        if self._has_ended:
            del self._outlets[sequence_id]
            raise EngineStopped("the engine's thread has ended")
        self._inbox.put(lambda: self._submit(sequence_id, group, request, prefix, priority, outlet))
        try:
            while True:
                item = await outlet.items.get()
                if isinstance(item, Exception):
                    raise item
                yield item
                if item.outcome is not None:
                    return
        finally:
            self._inbox.put(lambda: self._leave(sequence_id))

    def _submit(
        self,
        sequence_id: str,
        group: str,
        request: Request,
        prefix: Sequence[Token],
        priority: Priority,
        outlet: _Outlet[Token],
    ) -> None:
        try:
            self._engine.submit(sequence_id, group, request, prefix, priority)
        except (QueueFull, ValueError) as error:
            outlet.fail(error)

    def _leave(self, sequence_id: str) -> None:
        self._engine.cancel(sequence_id)
        self._outlets.pop(sequence_id, None)

    def _run(self) -> None:
        try:
            while self._empty_inbox():
                for event in self._engine.step():
                    self._outlets[event.sequence_id].put(event)
                self._publish_load()
        except Exception:
            logger.exception("the stepping thread has ended")
        finally:
            self._has_ended = True
            for outlet in list(self._outlets.values()):
                outlet.fail(EngineStopped("the engine's thread has ended"))

    def _empty_inbox(self) -> bool:
        """Do what was asked since the last step; wait if there is nothing else to do."""
        while True:
            try:
                task = self._inbox.get(block=not self._engine.has_work)
            except queue.Empty:
                return True
            if task is None:
                return False
            task()
            if not self._engine.has_work:
                self._publish_load()

    def _publish_load(self) -> None:
        load = Load(self._engine.num_running, self._engine.num_waiting)
        if load != self._load:
            self._load = load
            self._on_load(load)


class _Outlet(Generic[Token]):
    """Carries one sequence from the stepping thread to the event loop that waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tokens_per_chunk: int) -> None:
        self.items: asyncio.Queue[Chunk[Token] | Exception] = asyncio.Queue()
        self._loop = loop
        self._tokens_per_chunk = tokens_per_chunk
        self._tokens: list[Token] = []

    def put(self, event: Event[Token]) -> None:
        if event.error is not None:
            self.fail(event.error)
            return
        if event.token is not None:
            self._tokens.append(event.token)
        outcome = event.finish_reason
        # A failed sequence carries its error, and a cancelled one has no further events.
        assert outcome != "failed" and outcome != "cancelled"
        if outcome is not None or len(self._tokens) >= self._tokens_per_chunk:
            tokens, self._tokens = self._tokens, []
            self._send(Chunk(tokens, outcome))

    def fail(self, error: Exception) -> None:
        self._send(error)

    def _send(self, item: Chunk[Token] | Exception) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.items.put_nowait, item)
