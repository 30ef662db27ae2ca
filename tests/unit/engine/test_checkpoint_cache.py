import asyncio
from contextlib import AsyncExitStack

import pytest

from deployments.engine.batching.scheduler import QueueFull
from deployments.engine.speech.checkpoint_cache import CheckpointCache


class Shelf:
    """Where checkpoints are loaded from; notes what happens, and can be made to wait or fail."""

    def __init__(self, max_loaded: int = 2, max_waiting: int = 10) -> None:
        self.log: list[str] = []
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.fails = False
        self.cache = CheckpointCache[str](
            self.load, lambda name: self.log.append(f"-{name}"), max_loaded, max_waiting
        )

    async def load(self, name: str) -> str:
        self.log.append(f"+{name}")
        await self.may_load.wait()
        if self.fails:
            raise OSError("broken")
        return name.upper()

    async def use(self, name: str) -> str:
        async with self.cache.lease(name) as loaded:
            return loaded


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_checkpoint_is_loaded_once_however_many_wait_for_it() -> None:
    async def scenario() -> tuple[list[str], list[str]]:
        shelf = Shelf()
        shelf.may_load.clear()
        users = [asyncio.create_task(shelf.use("a")) for _ in range(3)]
        await settle()
        shelf.may_load.set()
        return await asyncio.gather(*users), shelf.log

    assert asyncio.run(scenario()) == (["A", "A", "A"], ["+a"])


def test_the_least_recently_used_goes() -> None:
    async def scenario() -> list[str]:
        shelf = Shelf()
        for name in "abac":
            await shelf.use(name)
        return shelf.log

    assert asyncio.run(scenario()) == ["+a", "+b", "-b", "+c"]


def test_what_is_in_use_is_never_evicted_and_others_wait() -> None:
    async def scenario() -> list[str]:
        shelf = Shelf(max_loaded=2)
        async with AsyncExitStack() as in_use:
            await in_use.enter_async_context(shelf.cache.lease("a"))
            b = await AsyncExitStack().__aenter__()
            await b.enter_async_context(shelf.cache.lease("b"))
            waiting = asyncio.create_task(shelf.use("c"))
            await settle()
            assert shelf.log == ["+a", "+b"]
            await b.aclose()
            assert await waiting == "C"
        return shelf.log

    assert asyncio.run(scenario()) == ["+a", "+b", "-b", "+c"]


def test_a_caller_that_leaves_while_loading_makes_room_for_others() -> None:
    async def scenario() -> list[str]:
        shelf = Shelf(max_loaded=1)
        shelf.may_load.clear()
        left = asyncio.create_task(shelf.use("a"))
        waiting = asyncio.create_task(shelf.use("b"))
        await settle()
        left.cancel()
        await settle()
        shelf.may_load.set()
        assert await waiting == "B"
        return shelf.log

    assert asyncio.run(scenario()) == ["+a", "-a", "+b"]


def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    async def scenario() -> str:
        shelf = Shelf()
        shelf.fails = True
        shelf.may_load.clear()
        users = [asyncio.create_task(shelf.use("a")) for _ in range(2)]
        await settle()
        shelf.may_load.set()
        for user in users:
            with pytest.raises(OSError, match="broken"):
                await user
        shelf.fails = False
        return await shelf.use("a")

    assert asyncio.run(scenario()) == "A"


def test_only_so_many_may_wait_for_room() -> None:
    async def scenario() -> None:
        shelf = Shelf(max_loaded=1, max_waiting=1)
        async with shelf.cache.lease("a"):
            waiting = asyncio.create_task(shelf.use("b"))
            await settle()
            with pytest.raises(QueueFull):
                await shelf.use("c")
        assert await waiting == "B"

    asyncio.run(scenario())
