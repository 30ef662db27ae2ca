"""What one segment of a text leaves to the next, for engines that go on from what was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from deployments.driver.iteration import closing

Item = TypeVar("Item")


@dataclass(frozen=True)
class Link:
    """The place of a segment between its neighbours, which are made side by side.

    Args:
        before: what the segment before leaves, None for nothing; done once that is known.
        after: what this one leaves.
    """

    before: asyncio.Future[Any]
    after: asyncio.Future[Any]

    def leave(self, what: Any) -> None:
        """Hand something to the next segment, which may be waiting for it."""
        if not self.after.done():
            self.after.set_result(what)

    @contextmanager
    def left_in_the_end(self) -> Iterator[None]:
        """The next segment gets nothing, if nothing was left for it when the block ends."""
        try:
            yield
        finally:
            self.leave(None)


def alone() -> Link:
    """The place of a segment without neighbours."""
    return Link(_nothing(), asyncio.get_running_loop().create_future())


def _nothing() -> asyncio.Future[Any]:
    before: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    before.set_result(None)
    return before


async def linked(items: AsyncIterator[Item]) -> AsyncGenerator[tuple[int, Item, Link]]:
    """Each item with its index and its place between its neighbours."""
    loop = asyncio.get_running_loop()
    before = _nothing()
    index = 0
    async with closing(items):
        async for item in items:
            after: asyncio.Future[Any] = loop.create_future()
            yield index, item, Link(before, after)
            before = after
            index += 1
