"""What the speaking stages have in common: metrics, and errors as callers are told of them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from ray.util.metrics import Counter, Gauge

from deployments.engine.batching.engine import QueueFull
from deployments.engine.batching.stepping import EngineStopped, Load
from deployments.engine.speech.checkpoint_files import CheckpointUnusable
from deployments.errors import DamagedRecord, InvalidInput, NotReady, Overloaded

logger = logging.getLogger("ray.serve")

_RETRY_AFTER_S = 2


class StageMetrics:
    """Gauges and counters named `baewoo_<stage>_…`. May be used from any thread.

    Args:
        stage: `s1`, `s2` or `kokoro`.
        num_slots: segments that are in work at once; slot use is relative to it.
    """

    def __init__(self, stage: str, num_slots: int) -> None:
        self._num_slots = num_slots
        self._active = Gauge(f"baewoo_{stage}_active", "Segments in work.")
        self._waiting = Gauge(f"baewoo_{stage}_waiting", "Segments that wait for a slot.")
        self._slot_use = Gauge(f"baewoo_{stage}_slot_use", "Segments in work, per slot.")
        self._cancels = Counter(
            f"baewoo_{stage}_cancels_total", "Segments whose caller left before the end."
        )
        self.set_load(Load())

    def set_load(self, load: Load) -> None:
        """How much is in work and waiting now."""
        self._active.set(load.num_running)
        self._waiting.set(load.num_waiting)
        self._slot_use.set(load.num_running / self._num_slots)

    def count_cancel(self) -> None:
        """A caller left before its segment was finished."""
        self._cancels.inc()


@contextmanager
def speech_errors() -> Iterator[None]:
    """Turn what the engines raise into the errors that callers are told."""
    try:
        yield
    except QueueFull as error:
        raise Overloaded(str(error), {"retry_after_s": _RETRY_AFTER_S}) from error
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    except CheckpointUnusable as error:
        raise DamagedRecord(str(error)) from error
    except EngineStopped as error:
        raise NotReady(str(error), {"retry_after_s": _RETRY_AFTER_S}) from error


async def preload(load: Callable[[str], Awaitable[None]], checkpoints: Sequence[str]) -> None:
    """Load checkpoints; one that can't be served is logged, and spoils nothing for the others."""
    for checkpoint in checkpoints:
        try:
            await load(checkpoint)
        except CheckpointUnusable as error:
            logger.error("not preloaded: %s", error)
