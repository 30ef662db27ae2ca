"""Small tools for asynchronous iterators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from deployments.errors import GenerationFailed

Item = TypeVar("Item")


async def each(items: Iterable[Item]) -> AsyncIterator[Item]:
    """The items of a collection, one by one."""
    for item in items:
        yield item


async def peek(items: AsyncIterator[Item]) -> AsyncIterator[Item]:
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

    async def everything() -> AsyncIterator[Item]:
        yield first
        async for item in items:
            yield item

    return everything()
