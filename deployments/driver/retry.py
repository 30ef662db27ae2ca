"""Streams that go on when the replica that makes them dies.

Ray Serve does not retry requests in flight. A stage's work is a function of its request, so the
driver asks again for what is missing and nobody hears a difference.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from ray.exceptions import ObjectLostError, RayActorError

from deployments.calls import Response, call, stream
from deployments.errors import NotReady

logger = logging.getLogger("ray.serve")

WAITS_S: Sequence[float] = (0.1, 0.5, 2.0, 4.0, 8.0)
"""Before each new attempt. The router may know a dead replica for a moment, and a new one takes
seconds to start; it is waited for in the call itself, once the router knows that there is none."""

_LOST = (RayActorError, ObjectLostError)


async def resumed(
    stage: str, make_call: Callable[[], Response], waits_s: Sequence[float] = WAITS_S
) -> AsyncGenerator[Any]:
    """The items of a streaming call, which is made again when its replica dies.

    Args:
        stage: its name, for the log and the error.
        make_call: after the first time for what the items so far leave to be done.
        waits_s: seconds before each further attempt since the last item.

    Raises:
        NotReady: the replica died again and again.
    """
    attempts = _Attempts(stage, waits_s)
    while True:
        try:
            async with aclosing(stream(make_call())) as items:
                async for item in items:
                    attempts.begin_anew()
                    yield item
            return
        except _LOST as error:
            await attempts.wait(error)


async def repeated(
    stage: str, make_call: Callable[[], Response], waits_s: Sequence[float] = WAITS_S
) -> Any:
    """The result of a unary call, which is made again when its replica dies; see `resumed`."""
    attempts = _Attempts(stage, waits_s)
    while True:
        try:
            return await call(make_call())
        except _LOST as error:
            await attempts.wait(error)


class _Attempts:
    def __init__(self, stage: str, waits_s: Sequence[float]) -> None:
        self._stage = stage
        self._waits_s = waits_s
        self._num_deaths = 0

    def begin_anew(self) -> None:
        self._num_deaths = 0

    async def wait(self, error: Exception) -> None:
        if self._num_deaths == len(self._waits_s):
            raise NotReady(f"{self._stage} was lost; try again", {"retry_after_s": 5}) from error
        logger.warning("%s: a replica died during a call, which is made again", self._stage)
        await asyncio.sleep(self._waits_s[self._num_deaths])
        self._num_deaths += 1
