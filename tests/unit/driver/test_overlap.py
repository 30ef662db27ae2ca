import asyncio
from collections.abc import AsyncIterator

import pytest

from deployments.driver.overlap import in_order
from deployments.errors import NotReady


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def twice(item: int) -> AsyncIterator[str]:
    yield f"{item}a"
    await asyncio.sleep(0)
    yield f"{item}b"


async def collect(chunks: AsyncIterator[str]) -> list[str]:
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_chunks_arrive_in_the_order_of_their_items(ahead: int) -> None:
    expected = ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert asyncio.run(collect(in_order(numbers(3), twice, ahead))) == expected


def test_the_next_item_is_in_production_while_one_is_delivered() -> None:
    async def scenario() -> list[int]:
        started: list[int] = []

        async def produce(item: int) -> AsyncIterator[int]:
            started.append(item)
            yield item

        chunks = in_order(numbers(9), produce, ahead=2)
        await anext(chunks)
        await asyncio.sleep(0.01)
        await chunks.aclose()  # type: ignore[attr-defined]
        return started

    assert asyncio.run(scenario()) == [0, 1, 2]


def test_closing_cancels_what_is_in_production() -> None:
    async def scenario() -> list[str]:
        ended: list[str] = []

        async def produce(item: int) -> AsyncIterator[int]:
            try:
                yield item
                await asyncio.sleep(3600)
            finally:
                ended.append(f"item {item}")

        chunks = in_order(numbers(9), produce, ahead=1)
        await anext(chunks)
        await asyncio.sleep(0.01)
        await chunks.aclose()  # type: ignore[attr-defined]
        return sorted(ended)

    assert asyncio.run(scenario()) == ["item 0", "item 1"]


def test_an_error_is_raised_after_the_chunks_before_it() -> None:
    async def fails_at_one(item: int) -> AsyncIterator[str]:
        if item == 1:
            raise ValueError("no")
        yield str(item)

    async def scenario() -> list[str]:
        received = []
        with pytest.raises(ValueError, match="no"):
            async for chunk in in_order(numbers(3), fails_at_one):
                received.append(chunk)
        return received

    assert asyncio.run(scenario()) == ["0"]


def test_an_error_of_the_source_is_raised_at_its_end() -> None:
    async def broken_source() -> AsyncIterator[int]:
        yield 0
        raise ValueError("source")

    async def scenario() -> list[str]:
        received = []
        with pytest.raises(ValueError, match="source"):
            async for chunk in in_order(broken_source(), twice):
                received.append(chunk)
        return received

    assert asyncio.run(scenario()) == ["0a", "0b"]


def test_a_stage_that_is_cancelled_by_itself_does_not_cancel_its_listener() -> None:
    async def cancelled_at_one(item: int) -> AsyncIterator[str]:
        if item == 1:
            raise asyncio.CancelledError
        yield str(item)

    async def scenario() -> list[str]:
        received = []
        with pytest.raises(NotReady):
            async for chunk in in_order(numbers(3), cancelled_at_one):
                received.append(chunk)
        return received

    assert asyncio.run(scenario()) == ["0"]
