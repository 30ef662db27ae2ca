"""The base of the speech engines: published checkpoints, whose sequences are in work together."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from deployments.engine.batching.engine import BatchingEngine, NotFinite, Runner
from deployments.engine.batching.priority import Priority
from deployments.engine.batching.sequence import Request, Token
from deployments.engine.batching.stepping import Chunk, Load, SteppingEngine
from deployments.engine.speech.checkpoint_cache import CheckpointCache
from deployments.engine.speech.checkpoint_files import CheckpointUnusable

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class BatchSizes:
    """How much is served at once.

    Args:
        num_slots: sequences of one checkpoint that decode together.
        max_waiting: sequences that may wait for a slot, over all checkpoints.
        max_checkpoints: checkpoints in memory at most.
    """

    num_slots: int
    max_waiting: int
    max_checkpoints: int


class BatchedCheckpoints(ABC, Generic[Request, Token, Loaded]):
    """Loads checkpoints on demand and runs the sequences of each together. For one event loop.

    Args:
        name: of its threads.
        sizes: how much is served at once.
        is_stuck: see `BatchingEngine`.
        on_load: called on the engine's thread whenever its load has changed.
    """

    def __init__(
        self,
        name: str,
        sizes: BatchSizes,
        is_stuck: Callable[[Sequence[Token]], bool] | None = None,
        on_load: Callable[[Load], None] = lambda load: None,
    ) -> None:
        self._num_slots = sizes.num_slots
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-loader")
        self._engine: SteppingEngine[Request, Token] = SteppingEngine(
            name, BatchingEngine(sizes.max_waiting, is_stuck), on_load
        )
        self._checkpoints: CheckpointCache[Loaded] = CheckpointCache(
            self._load, self._engine.remove_group, sizes.max_checkpoints, sizes.max_waiting
        )

    @property
    def load(self) -> Load:
        """What runs and waits, as of the latest step."""
        return self._engine.load

    @property
    def is_alive(self) -> bool:
        return self._engine.is_alive

    def stop(self) -> None:
        """End the engine's thread."""
        self._engine.stop()

    async def preload(self, checkpoint: str) -> None:
        """Load a checkpoint before it is asked for."""
        async with self._lease(checkpoint):
            pass

    @abstractmethod
    def _new_batch(self, name: str) -> tuple[Loaded, Runner[Request, Token]]:
        """Read a checkpoint, for seconds perhaps: what requests are made with, and its runner.

        Raises:
            CheckpointUnusable: it can't be served.
        """

    def _lease(self, checkpoint: str) -> AbstractAsyncContextManager[Loaded]:
        """The checkpoint; it stays in memory until the block ends.

        Raises:
            QueueFull: too many wait for one already.
            CheckpointUnusable: it can't be served.
        """
        return self._checkpoints.lease(checkpoint)

    async def _stream(
        self,
        checkpoint: str,
        request: Request,
        prefix: Sequence[Token] = (),
        tokens_per_chunk: int = 1,
        priority: Priority = "interactive",
    ) -> AsyncGenerator[Chunk[Token]]:
        """Generate one sequence of a checkpoint on lease; see `SteppingEngine.stream`.

        Raises:
            QueueFull: too many wait already.
            CheckpointUnusable: what it computes is no number.
            ValueError: the request is malformed or does not fit.
        """
        chunks = self._engine.stream(checkpoint, request, prefix, tokens_per_chunk, priority)
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
        except NotFinite as error:
            raise CheckpointUnusable(f"checkpoint {checkpoint}: {error}") from error

    async def _load(self, name: str) -> Loaded:
        loop = asyncio.get_running_loop()
        loaded, runner = await loop.run_in_executor(self._loader, self._new_batch, name)
        self._engine.add_group(name, runner, self._num_slots)
        return loaded
