"""Calls whose replica dies, without a cluster: responses that fail when they are told to."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest
from ray.exceptions import RayActorError

from deployments.driver import retry
from deployments.driver.retry import JITTER, jittered, repeated, resumed
from deployments.errors import NotReady, Overloaded

WAITS_S = (0.0, 0.0, 0.0)


class Response:
    """Gives its items, or the last of them where a single one is wanted; then fails or ends."""

    def __init__(self, items: list[int], error: Exception | None = None) -> None:
        self._items = items
        self._error = error
        self.is_cancelled = False

    async def __aiter__(self) -> AsyncIterator[int]:
        for item in self._items:
            yield item
        if self._error is not None:
            raise self._error

    def __await__(self) -> Generator[Any, None, int]:
        if self._error is not None:
            raise self._error
        yield from asyncio.sleep(0).__await__()
        return self._items[-1]

    def cancel(self) -> None:
        self.is_cancelled = True


def calls(responses: list[Response]) -> Callable[[], Any]:
    remaining = iter(responses)
    return lambda: next(remaining)


def died() -> RayActorError:
    return RayActorError(error_msg="killed")


async def collect(responses: list[Response]) -> list[int]:
    return [item async for item in resumed("Stage", calls(responses), WAITS_S)]


def test_a_stream_goes_on_where_its_replica_died() -> None:
    responses = [Response([1, 2], died()), Response([], died()), Response([3])]
    assert asyncio.run(collect(responses)) == [1, 2, 3]
    assert all(response.is_cancelled for response in responses)


def test_a_stage_that_dies_again_and_again_is_not_ready() -> None:
    with pytest.raises(NotReady, match="Stage was lost"):
        asyncio.run(collect([Response([], died()) for _ in range(4)]))


def test_deaths_are_counted_since_the_last_item() -> None:
    responses = [Response([number], died()) for number in range(10)]
    assert asyncio.run(collect([*responses, Response([])])) == list(range(10))


def test_an_error_of_the_request_itself_is_not_tried_again() -> None:
    with pytest.raises(Overloaded):
        asyncio.run(collect([Response([1], Overloaded("full"))]))


def test_after_a_death_a_stage_without_room_is_asked_again() -> None:
    responses = [Response([1], died()), Response([], Overloaded("full")), Response([2])]
    assert asyncio.run(collect(responses)) == [1, 2]
    again = [Response([], died()), Response([], Overloaded("full")), Response([3])]
    assert asyncio.run(repeated("Stage", calls(again), WAITS_S)) == 3


def test_a_stage_that_has_no_room_for_long_after_a_death_is_not_ready() -> None:
    full = [Response([], Overloaded("full")) for _ in range(3)]
    with pytest.raises(NotReady):
        asyncio.run(collect([Response([1], died()), *full]))


def test_a_stream_that_is_left_is_cancelled() -> None:
    response = Response([1, 2, 3])

    async def scenario() -> None:
        items = resumed("Stage", calls([response]), WAITS_S)
        await anext(items)
        await items.aclose()

    asyncio.run(scenario())
    assert response.is_cancelled


def test_a_unary_call_is_made_again() -> None:
    responses = [Response([], died()), Response([7])]
    assert asyncio.run(repeated("Stage", calls(responses), WAITS_S)) == 7


def test_a_unary_call_is_given_up_at_last() -> None:
    with pytest.raises(NotReady):
        asyncio.run(repeated("Stage", calls([Response([], died())] * 4), WAITS_S))


def test_a_replica_that_does_not_come_back_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(Response):
        async def __aiter__(self) -> AsyncIterator[int]:
            await asyncio.Event().wait()
            yield 0

    monkeypatch.setattr(retry, "RETURN_LIMIT_S", 0.01)
    silent = Silent([])
    with pytest.raises(NotReady):
        asyncio.run(collect([Response([1], died()), silent]))
    assert silent.is_cancelled


def test_streams_that_break_off_together_come_back_apart() -> None:
    waits = [jittered((2.0,), random.Random(seed))[0] for seed in range(100)]
    assert len({round(wait_s, 2) for wait_s in waits}) > 50
    assert 2 * (1 - JITTER) <= min(waits) < 2 < max(waits) <= 2 * (1 + JITTER)


def test_a_new_attempt_waits_first() -> None:
    async def seconds_passed() -> float:
        began = asyncio.get_running_loop().time()
        responses = calls([Response([1], died()), Response([2])])
        assert [item async for item in resumed("Stage", responses, (0.1,))] == [1, 2]
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(seconds_passed()) >= 0.1 * (1 - JITTER)
