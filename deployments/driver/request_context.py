"""What belongs to the request being served: its id and its timings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="-")


class Timings:
    """Seconds spent in each stage, summed by name; rendered as a `Server-Timing` header."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the block's duration to `stage`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - started)

    def add(self, stage: str, duration_s: float) -> None:
        """Add a duration to `stage`."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + duration_s

    def header(self) -> str:
        """Value of a `Server-Timing` header, durations in milliseconds."""
        return ", ".join(f"{name};dur={1000 * s:.1f}" for name, s in self.seconds.items())


_timings: ContextVar[Timings | None] = ContextVar("timings", default=None)


def enter_request(request_id: str) -> Timings:
    """Make `request_id` and fresh timings current for this task and what it starts."""
    timings = Timings()
    _request_id.set(request_id)
    _timings.set(timings)
    return timings


def current_request_id() -> str:
    """Id of the request being served; `-` outside of one."""
    return _request_id.get()


def current_timings() -> Timings:
    """Timings of the request being served, or a fresh one outside of one."""
    return _timings.get() or Timings()
