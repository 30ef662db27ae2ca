import asyncio
from contextlib import AsyncExitStack

import pytest

from deployments.engine.batching.scheduler import QueueFull
from deployments.engine.speech.checkpoint_cache import CheckpointCache


class Shelf:
    """Where checkpoints are loaded from; notes what happens, and can be made to wait or fail."""

    def __init__(
        self, max_loaded: int = 2, max_waiting: int = 10, patience_s: float = 60.0
    ) -> None:
        self.log: list[str] = []
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.fails = False
        self.cache = CheckpointCache[str](
            self.load, lambda name: self.log.append(f"-{name}"), max_loaded, max_waiting,
            patience_s,
        )  # fmt: skip

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


def test_what_has_room_is_loaded_though_nobody_may_wait() -> None:
    assert asyncio.run(Shelf(max_waiting=0).use("a")) == "A"


def test_room_goes_to_whoever_has_waited_for_longest() -> None:
    async def scenario() -> list[str]:
        shelf = Shelf(max_loaded=1)
        async with shelf.cache.lease("a"):
            users = [asyncio.create_task(shelf.use(name)) for name in "bcb"]
            await settle()
        users.append(asyncio.create_task(shelf.use("d")))
        await asyncio.gather(*users)
        return shelf.log

    assert asyncio.run(scenario()) == ["+a", "-a", "+b", "-b", "+c", "-c", "+d"]


@pytest.mark.parametrize("others", ["b", "bc"])
def test_a_checkpoint_that_is_lent_without_a_pause_makes_way_at_last(others: str) -> None:
    async def scenario() -> list[str]:
        shelf = Shelf(max_loaded=1, patience_s=0.01)
        waiting = [asyncio.create_task(shelf.use(name)) for name in others]

        async def keep_using_a() -> None:
            while not all(task.done() for task in waiting):
                async with shelf.cache.lease("a"):
                    await asyncio.sleep(0.002)

        async with shelf.cache.lease("a"), asyncio.timeout(10):
            # Overlapping leases: there is no moment in which nobody uses it.
            users = [asyncio.create_task(keep_using_a()) for _ in range(3)]
            await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            await asyncio.gather(*users)
            return await asyncio.gather(*waiting)

    assert asyncio.run(scenario()) == [name.upper() for name in others]


def test_a_checkpoint_is_lent_on_when_nobody_waits_for_its_place_any_more() -> None:
    async def scenario() -> list[str]:
        shelf = Shelf(max_loaded=1, patience_s=0.0)
        async with shelf.cache.lease("a"), asyncio.timeout(10):
            left = asyncio.create_task(shelf.use("b"))
            refused = asyncio.create_task(shelf.use("a"))
            await asyncio.sleep(0.02)
            left.cancel()
            await asyncio.wait([left])
            assert await shelf.use("a") == "A"
            await refused
        return shelf.log

    assert asyncio.run(scenario()) == ["+a"]


def test_a_caller_that_leaves_as_it_is_lent_to_gives_back() -> None:
    async def scenario() -> str:
        shelf = Shelf(max_loaded=1)
        async with shelf.cache.lease("a"):
            left = asyncio.create_task(shelf.use("b"))
            await settle()
        left.cancel()  # it has been lent to, and does not know it yet
        async with asyncio.timeout(10):
            return await shelf.use("c")

    assert asyncio.run(scenario()) == "C"
