"""How loud a voice speaks, measured once and kept."""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any

MEASURED_TEXTS = {"ko": "안녕하세요, 만나서 반갑습니다.", "en": "Hello, nice to meet you."}
"""What a voice is measured on, by language: long enough for BS.1770's gating, short enough to wait
for. Voices of other languages speak Korean for it."""

_MAX_GAINS = 1024


class MeasuredGains:
    """Factors that bring voices to one loudness, by what tells them apart. For one event loop."""

    def __init__(self) -> None:
        self._gains: OrderedDict[Hashable, asyncio.Task[float]] = OrderedDict()

    async def of(self, key: Hashable, measure: Callable[[], Coroutine[Any, Any, float]]) -> float:
        """Measured when the first asks, for all who wait; a failure is not kept.

        Args:
            key: what makes a voice sound as it does.
            measure: speaks and measures, which takes seconds.
        """
        if key not in self._gains:
            # Serve cancels the calls of a request whose client leaves, and finds them through the
            # context: in one of its own, a measurement outlives who asked first.
            measuring = asyncio.create_task(measure(), context=contextvars.Context())
            measuring.add_done_callback(partial(self._forget_failure, key))
            self._gains[key] = measuring
            if len(self._gains) > _MAX_GAINS:
                self._gains.popitem(last=False)
        return await asyncio.shield(self._gains[key])

    def _forget_failure(self, key: Hashable, measuring: asyncio.Task[float]) -> None:
        is_failed = measuring.cancelled() or measuring.exception() is not None
        if is_failed and self._gains.get(key) is measuring:
            del self._gains[key]
