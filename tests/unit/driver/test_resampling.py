import asyncio

import numpy as np
import pytest

from deployments.driver.iteration import each
from deployments.driver.resampling import resampled

WAVEFORM = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)


async def converted(parts: list[np.ndarray], from_hz: int, to_hz: int) -> np.ndarray:
    return np.concatenate([part async for part in resampled(each(parts), from_hz, to_hz)])


@pytest.mark.parametrize("to_hz", [8000, 24_000, 44_100, 48_000])
def test_where_chunks_are_cut_is_not_heard(to_hz: int) -> None:
    whole = asyncio.run(converted([WAVEFORM], 32_000, to_hz))
    cut = asyncio.run(converted(np.split(WAVEFORM, [1, 12_800, 30_000]), 32_000, to_hz))
    np.testing.assert_array_equal(cut, whole)
    assert len(whole) == to_hz


def test_an_engine_of_the_same_rate_is_passed_through() -> None:
    parts = np.split(WAVEFORM, [100])
    np.testing.assert_array_equal(asyncio.run(converted(parts, 24_000, 24_000)), WAVEFORM)
