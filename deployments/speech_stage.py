"""What the speaking stages have in common: metrics, readiness, and errors as callers see them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ray.util.metrics import Counter, Gauge

from deployments.autoscaling.stage_report import stage_report
from deployments.engine.batching.engine import QueueFull
from deployments.engine.batching.stepping import EngineStopped, Load
from deployments.engine.speech.checkpoint_files import CheckpointUnusable
from deployments.errors import (
    DamagedRecord,
    GenerationFailed,
    InvalidInput,
    NotReady,
    Overloaded,
    SpeechError,
)
from deployments.messages import StageStats
from models.storage import StorageUnavailable

logger = logging.getLogger("ray.serve")

_RETRY_AFTER_S = 2


class StageMetrics:
    """Gauges and counters named `baewoo_<stage>_…`. May be used from any thread.

    Args:
        stage: `s1`, `s2`, `zonos_s1`, `zonos_decoder` or `kokoro`.
        num_slots: segments that are in work at once; slot use is relative to it.
    """

    def __init__(self, stage: str, num_slots: int) -> None:
        self.num_slots = num_slots
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
        self._slot_use.set(load.num_running / self.num_slots)

    def count_cancel(self) -> None:
        """A caller left before its segment was finished."""
        self._cancels.inc()


@contextmanager
def speech_errors() -> Iterator[None]:
    """Turn what the engines raise into the errors that callers are told."""
    try:
        yield
    except SpeechError:
        raise
    except QueueFull as error:
        raise Overloaded(str(error), {"retry_after_s": _RETRY_AFTER_S}) from error
    except StorageUnavailable as error:  # a ValueError, and not the caller's fault
        raise NotReady(str(error), {"retry_after_s": _RETRY_AFTER_S}) from error
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    except CheckpointUnusable as error:
        raise DamagedRecord(str(error)) from error
    except EngineStopped as error:
        raise NotReady(str(error), {"retry_after_s": _RETRY_AFTER_S}) from error
    except Exception as error:  # out of memory, say
        logger.exception("a segment could not be computed")
        raise GenerationFailed("the segment could not be computed") from error


class Preloading:
    """Loads checkpoints before they are asked for; one that can't be served spoils nothing.

    Args:
        load: loads one.
        checkpoints: their names.
    """

    def __init__(self, load: Callable[[str], Awaitable[None]], checkpoints: Sequence[str]) -> None:
        self._load = load
        self._checkpoints = tuple(checkpoints)
        self._loading: asyncio.Task[None] | None = None

    async def finish(self) -> None:
        """Wait until all are loaded; what failed for another reason is tried again each time.

        Raises:
            NotReady: the storage does not answer.
            Overloaded: requests leave no room.
        """
        if self._loading is None or _has_failed(self._loading):
            self._loading = asyncio.create_task(self._load_all())
        with speech_errors():
            await asyncio.shield(self._loading)

    async def _load_all(self) -> None:
        for checkpoint in self._checkpoints:
            try:
                await self._load(checkpoint)
            except CheckpointUnusable as error:
                logger.error("not preloaded: %s", error)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


class StageEngine(Protocol):
    """What a stage asks of its engine besides the work itself."""

    @property
    def load(self) -> Load: ...

    @property
    def is_alive(self) -> bool: ...

    async def preload(self, checkpoint: str) -> None: ...


Engine = TypeVar("Engine", bound=StageEngine)


@dataclass
class Work:
    """A call in work; once it is finished, a caller that leaves cancels nothing."""

    is_finished: bool = False


class EngineStage(Generic[Engine]):
    """A deployment around one engine, whatever its calls are; subclasses add those.

    Args:
        name: what the engine computes, as health checks call it.
        engine: tells `metrics` of its load by itself.
        metrics: named after the stage.
        checkpoints: loaded before the stage is ready.
    """

    def __init__(
        self, name: str, engine: Engine, metrics: StageMetrics, checkpoints: Sequence[str]
    ) -> None:
        self._name = name
        self._engine = engine
        self._metrics = metrics
        self._preloading = Preloading(engine.preload, checkpoints)
        self._queued_audio_s = 0.0

    async def ready(self) -> bool:
        """Whether the checkpoints that requests will name first are loaded."""
        await self._preloading.finish()
        return self._engine.is_alive

    async def stats(self) -> StageStats:
        """What is in work, as of the latest step."""
        load = self._engine.load
        return StageStats(load.num_running, load.num_waiting, self._queued_audio_s)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve, for its `StagePolicy`."""
        return stage_report(await self.stats(), self._metrics.num_slots)

    def check_health(self) -> None:
        """Called by Serve; raising replaces the replica."""
        if not self._engine.is_alive:
            raise NotReady(f"the thread that steps {self._name} has ended")

    @contextmanager
    def _counted(self, audio_s: float) -> Iterator[Work]:
        """Count audio as queued while the block lasts, and as cancelled if its caller leaves.

        What the engine raises in the block is told as `speech_errors` does.
        """
        work = Work()
        self._queued_audio_s += audio_s
        try:
            with speech_errors():
                yield work
        except (asyncio.CancelledError, GeneratorExit):
            if not work.is_finished:
                self._metrics.count_cancel()
            raise
        finally:
            self._queued_audio_s -= audio_s
