"""Several pieces of audio made at once, delivered in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from deployments.driver.iteration import closing
from deployments.errors import NotReady

Item = TypeVar("Item")
Chunk = TypeVar("Chunk")


@dataclass(frozen=True)
class _End:
    """Closes a queue; carries the exception that closed it, if any."""

    error: BaseException | None = None


async def in_order(
    items: AsyncIterator[Item],
    produce: Callable[[Item], AsyncGenerator[Chunk]],
    ahead: int = 1,
) -> AsyncGenerator[Chunk]:
    """Yield the chunks of all items in order, while later items are already in production.

    Args:
        items: what to produce, itself perhaps still being written.
        produce: makes the chunks of one item.
        ahead: how many items after the one being delivered may be in production.

    Closing the iterator cancels everything in production. An exception of `items` or `produce`
    is raised at its place, after the chunks before it.

    Raises:
        NotReady: a stage was cancelled, and not because the iterator was closed.
    """
    places = asyncio.Semaphore(1 + ahead)
    lines: asyncio.Queue[asyncio.Queue[Chunk | _End] | _End] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()

    async def fill(line: asyncio.Queue[Chunk | _End], item: Item) -> None:
        end = _End()
        try:
            async with aclosing(produce(item)) as chunks:
                async for chunk in chunks:
                    line.put_nowait(chunk)
        # A stage that is cancelled from its own side must not leave the consumer waiting.
        except BaseException as error:
            end = _End(error)
        line.put_nowait(end)

    async def open_lines() -> None:
        try:
            async with closing(items):
                async for item in items:
                    await places.acquire()
                    line: asyncio.Queue[Chunk | _End] = asyncio.Queue()
                    lines.put_nowait(line)
                    tasks.add(asyncio.create_task(fill(line, item)))
        except BaseException as error:
            lines.put_nowait(_End(error))
        else:
            lines.put_nowait(_End())

    tasks.add(asyncio.create_task(open_lines()))
    try:
        while not isinstance(line := await lines.get(), _End):
            while not isinstance(chunk := await line.get(), _End):
                yield chunk
            _raise_error(chunk)
            places.release()
        _raise_error(line)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _raise_error(end: _End) -> None:
    if isinstance(end.error, asyncio.CancelledError):
        # Nobody cancelled the consumer, which would take this for its own cancellation.
        raise NotReady("a stage broke off; try again", {"retry_after_s": 5}) from end.error
    if end.error is not None:
        raise end.error
