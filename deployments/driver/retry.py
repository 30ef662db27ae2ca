"""Streams that go on when the replica that makes them dies.

Ray Serve does not retry requests in flight. A stage's work is a function of its request, so the
driver asks again for what is missing and nobody hears a difference. What was accepted before a
death is not refused after it: where the replicas that are left have no room, it waits.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from ray.exceptions import ObjectLostError, RayActorError, TaskCancelledError
from ray.serve.exceptions import BackPressureError

from deployments.calls import Response, call, stream
from deployments.errors import NotReady, Overloaded
from deployments.tracing import stage_call

logger = logging.getLogger("ray.serve")

WAITS_S: Sequence[float] = (0.1, 0.5, 2.0, 4.0, 8.0)
"""Before each new attempt: the router may go on to a dead replica for a moment."""

JITTER = 0.5
"""A wait is longer or shorter by up to this share: the streams that a death broke off all at once
do not come back all at once. When, changes nothing about what they bring."""

RETURN_LIMIT_S = 60.0
"""How long a call may wait for a new replica, which takes seconds to start."""

# A call that is cancelled from its own side is lost too, as by a replica that has to stop.
_LOST = (RayActorError, ObjectLostError, TaskCancelledError)
_FULL = (Overloaded, BackPressureError)
_NOTHING = object()
_CHANCE = random.Random()


async def resumed(
    stage: str,
    make_call: Callable[[], Response],
    waits_s: Sequence[float] = WAITS_S,
    chance: random.Random = _CHANCE,
) -> AsyncGenerator[Any]:
    """The items of a streaming call, which is made again when its replica dies.

    Args:
        stage: its name, for the log and the error.
        make_call: after the first time for what the items so far leave to be done.
        waits_s: seconds before each further attempt since the last item, give or take `JITTER`.
        chance: by how much.

    Raises:
        NotReady: the replica died again and again, or did not come back.
    """
    attempts = _Attempts(stage, waits_s, chance)
    while True:
        try:
            async with aclosing(_streamed(stage, make_call)) as items:
                while True:
                    async with attempts.limited():
                        item = await anext(items, _NOTHING)
                    if item is _NOTHING:
                        return
                    attempts.begin_anew()
                    yield item
        except _LOST as error:
            await attempts.wait(error)
        except _FULL as error:
            await attempts.wait_for_room(error)


async def repeated(
    stage: str,
    make_call: Callable[[], Response],
    waits_s: Sequence[float] = WAITS_S,
    chance: random.Random = _CHANCE,
) -> Any:
    """The result of a unary call, which is made again when its replica dies; see `resumed`."""
    attempts = _Attempts(stage, waits_s, chance)
    while True:
        try:
            async with attempts.limited():
                with stage_call(stage) as span:
                    return await call(span.make(make_call))
        except _LOST as error:
            await attempts.wait(error)
        except _FULL as error:
            await attempts.wait_for_room(error)


async def _streamed(stage: str, make_call: Callable[[], Response]) -> AsyncGenerator[Any]:
    """The items of one attempt, in a span of its own."""
    with stage_call(stage) as span:
        async with aclosing(stream(span.make(make_call))) as items:
            async for item in items:
                span.got_item()
                yield item


def jittered(waits_s: Sequence[float], chance: random.Random) -> list[float]:
    """Each wait, give or take `JITTER`."""
    return [wait_s * chance.uniform(1 - JITTER, 1 + JITTER) for wait_s in waits_s]


class _Attempts:
    def __init__(self, stage: str, waits_s: Sequence[float], chance: random.Random) -> None:
        self._stage = stage
        self._waits_s = jittered(waits_s, chance)
        self._num_failures = 0

    def begin_anew(self) -> None:
        self._num_failures = 0

    @asynccontextmanager
    async def limited(self) -> AsyncGenerator[None]:
        """Bounds the wait for an answer, once a replica has died."""
        if self._num_failures == 0:
            yield
            return
        try:
            async with asyncio.timeout(RETURN_LIMIT_S):
                yield
        except TimeoutError as error:
            raise self._not_ready() from error

    async def wait(self, error: Exception) -> None:
        """Wait for the next attempt after a death, or give up."""
        logger.warning("%s: a replica died during a call, which is made again", self._stage)
        await self._wait(error)

    async def wait_for_room(self, error: Exception) -> None:
        """Wait where the calls of a dead replica crowd those that live; else it is the answer."""
        if self._num_failures == 0:
            raise error
        await self._wait(error)

    async def _wait(self, error: Exception) -> None:
        if self._num_failures == len(self._waits_s):
            raise self._not_ready() from error
        await asyncio.sleep(self._waits_s[self._num_failures])
        self._num_failures += 1

    def _not_ready(self) -> NotReady:
        return NotReady(f"{self._stage} was lost; try again", {"retry_after_s": 5})
