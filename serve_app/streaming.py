"""Replies whose body is made while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.driver.iteration import peek

Item = TypeVar("Item")

MAX_FIRST_WAIT_S = 120.0
"""What was admitted is heard well before; beyond it something is stuck."""


async def begun(items: AsyncIterator[Item]) -> AsyncGenerator[Item]:
    """`peek`, for no longer than a listener has patience.

    Raises:
        TimeoutError: nothing came; whatever makes the items is ended.
    """
    async with asyncio.timeout(MAX_FIRST_WAIT_S):
        return await peek(items)


class LiveReply(StreamingResponse):
    """Ends what makes the body when nobody listens any more, at once and not some time later."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self.body_iterator, AsyncGenerator):
                await self.body_iterator.aclose()
