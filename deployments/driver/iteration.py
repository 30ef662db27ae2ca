"""Small tools for asynchronous iterators."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from deployments.errors import GenerationFailed

Item = TypeVar("Item")


async def each(items: Iterable[Item]) -> AsyncGenerator[Item]:
    """The items of a collection, one by one."""
    for item in items:
        yield item


@asynccontextmanager
async def closing(items: AsyncIterator[Item]) -> AsyncGenerator[AsyncIterator[Item]]:
    """Close an iterator at the end of the block, if it is one that can be closed.

    A `for` loop that is left early leaves its generator open, and with it the call it reads from.
    """
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


async def peek(items: AsyncIterator[Item]) -> AsyncGenerator[Item]:
    """Wait for the first item, then return an iterator of all.

    A reply that streams sends its status before its first byte: waiting for that byte lets an
    early failure still be answered with the status it deserves.

    Raises:
        GenerationFailed: there is no item.
    """
    try:
        first = await anext(items)
    except StopAsyncIteration:
        raise GenerationFailed("no audio was made") from None

    async def everything() -> AsyncGenerator[Item]:
        async with closing(items):
            yield first
            async for item in items:
                yield item

    return everything()
