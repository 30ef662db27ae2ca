"""Server-sent events: how a stream of JSON events is written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from deployments.driver.iteration import closing
from serve_app.streaming import LiveReply

_KEEP_ALIVE_S = 15.0
_KEEP_ALIVE = b": still working\n\n"


def event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    """One event; `name` for clients that listen by name (OpenAI's have the type in the data)."""
    # JSON escapes every line break, so the data is one line.
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def event_stream(
    events: AsyncIterator[bytes], headers: Mapping[str, str] | None = None
) -> LiveReply:
    """A reply of events; comments fill pauses, so that no proxy takes it for dead."""
    return LiveReply(
        _with_keep_alive(events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})},
    )


async def _with_keep_alive(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    upcoming: asyncio.Task[bytes] | None = None
    async with closing(events):
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait({upcoming}, timeout=_KEEP_ALIVE_S)
                if not done:
                    yield _KEEP_ALIVE
                    continue
                finished, upcoming = upcoming, None
                try:
                    yield finished.result()
                except StopAsyncIteration:
                    return
        finally:
            if upcoming is not None:
                upcoming.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration):
                    await upcoming
