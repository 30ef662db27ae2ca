"""What is counted and timed, as Prometheus metrics (served by Ray on its metrics port).

baewoo_queue_seconds              from acceptance to the first work on it, by stage
baewoo_first_audio_seconds        from the start of speaking to the first audio, by route (a line is
                                  still to be written then; "jobs" for all work that is kept)
baewoo_real_time_factor           seconds of work for a second of audio, by engine
baewoo_audio_seconds_total        audio made, by voice
baewoo_errors_total               replies that were an error, by slug and route
baewoo_cancels_total              streams whose listener left, by route
baewoo_queued_audio_seconds       audio owed to callers now
baewoo_active_requests            requests that are owed audio now
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from ray.util.metrics import Counter, Gauge, Histogram

_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60]
_FACTORS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 4]


class Audible(Protocol):
    """A piece of audio, perhaps empty."""

    @property
    def waveform(self) -> NDArray[np.float32]: ...


Piece = TypeVar("Piece", bound=Audible)


class RequestMetrics:
    """Metrics of the requests of one process, the ingress or a job runner."""

    def __init__(self) -> None:
        self._queue = Histogram(
            "baewoo_queue_seconds", "From acceptance to the first work.", _SECONDS, ("stage",)
        )
        self._first_audio = Histogram(
            "baewoo_first_audio_seconds",
            "From the start of speaking to the first audio.",
            _SECONDS,
            ("route",),
        )
        self._factor = Histogram(
            "baewoo_real_time_factor", "Work for a second of audio.", _FACTORS, ("engine",)
        )
        self._audio = Counter("baewoo_audio_seconds_total", "Audio made.", ("voice",))
        self._errors = Counter(
            "baewoo_errors_total", "Replies that were an error.", ("slug", "route")
        )
        self._cancels = Counter("baewoo_cancels_total", "Streams whose listener left.", ("route",))
        self._queued_audio = Gauge("baewoo_queued_audio_seconds", "Audio owed to callers.")
        self._active = Gauge("baewoo_active_requests", "Requests that are owed audio.")

    def waited(self, stage: str, duration_s: float) -> None:
        """A request waited for a stage."""
        self._queue.observe(duration_s, {"stage": stage})

    def failed(self, slug: str, route: str) -> None:
        """A request was answered with an error."""
        self._errors.inc(1, {"slug": slug, "route": route})

    def owed(self, audio_s: float, num_requests: int) -> None:
        """What is owed to callers now."""
        self._queued_audio.set(audio_s)
        self._active.set(num_requests)

    async def measured(
        self,
        pieces: AsyncGenerator[Piece],
        *,
        route: str,
        engine: str,
        voice: str,
        sample_rate: int,
    ) -> AsyncGenerator[Piece]:
        """Pass audio on; time the first, add up all, note a listener who leaves."""
        started = time.perf_counter()
        audio_s = 0.0
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    piece_s = len(piece.waveform) / sample_rate
                    if piece_s > 0 and audio_s == 0:
                        self._first_audio.observe(time.perf_counter() - started, {"route": route})
                    if piece_s > 0:
                        self._audio.inc(piece_s, {"voice": voice})
                    audio_s += piece_s
                    yield piece
        except (asyncio.CancelledError, GeneratorExit):
            self._cancels.inc(1, {"route": route})
            raise
        if audio_s > 0:
            factor = (time.perf_counter() - started) / audio_s
            self._factor.observe(factor, {"engine": engine})
