import asyncio

import pytest

from deployments.driver.iteration import each
from deployments.driver.two_stages import regrouped


@pytest.mark.parametrize("sizes", [[7], [1] * 7, [3, 4], [5, 0, 2], [6, 1]])
def test_groups_do_not_depend_on_how_tokens_travelled(sizes: list[int]) -> None:
    tokens = iter(range(7))
    chunks = [tuple(next(tokens) for _ in range(size)) for size in sizes]

    async def scenario() -> list[tuple[int, ...]]:
        return [group async for group in regrouped(each(chunks), 3)]

    assert asyncio.run(scenario()) == [(0, 1, 2), (3, 4, 5), (6,)]
