"""Calls between deployments that end when their caller ends.

Ray Serve leaves a callee running when its caller stops reading a stream, and it cancels an awaited
call only in some states; both helpers cancel in every case.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from ray.serve.handle import DeploymentResponse, DeploymentResponseGenerator

Response = DeploymentResponse[Any] | DeploymentResponseGenerator[Any]
"""What `handle.method.remote()` is declared to return; the handle's options decide which."""


async def call(response: Response) -> Any:
    """Await a unary call; cancel it when the awaiting task is cancelled or fails."""
    try:
        return await response
    except BaseException:
        response.cancel()  # type: ignore[no-untyped-call]
        raise


async def stream(response: Response) -> AsyncGenerator[Any]:
    """Iterate over a streaming call; cancel it however the iteration ends."""
    try:
        async for item in response:  # type: ignore[union-attr]
            yield item
    finally:
        response.cancel()  # type: ignore[no-untyped-call]
