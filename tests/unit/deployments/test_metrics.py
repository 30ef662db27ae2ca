"""What Prometheus is told of audio, whoever it is for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from deployments import metrics
from deployments.metrics import RequestMetrics


class Noted:
    """A metric of Ray's that keeps what it is told: (name, value, tags)."""

    told: list[tuple[str, float, dict[str, str]]] = []

    def __init__(self, name: str, *args: Any) -> None:
        self._name = name

    def observe(self, value: float, tags: dict[str, str]) -> None:
        self.told.append((self._name, value, tags))

    inc = observe


@dataclass(frozen=True)
class Piece:
    waveform: np.ndarray


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, dict[str, str]]]:
    Noted.told = []
    for kind in ("Counter", "Histogram", "Gauge"):
        monkeypatch.setattr(metrics, kind, Noted)
    return Noted.told


async def two_seconds() -> AsyncGenerator[Piece]:
    for num_samples in (0, 24_000, 0, 24_000):
        yield Piece(np.zeros(num_samples, np.float32))


def measured(pieces: AsyncGenerator[Piece]) -> AsyncGenerator[Piece]:
    return RequestMetrics().measured(
        pieces, route="jobs", engine="kokoro", voice="sinip", sample_rate=24_000
    )


def test_audio_is_counted_by_voice_and_timed_by_route_and_engine(
    told: list[tuple[str, float, dict[str, str]]],
) -> None:
    async def scenario() -> int:
        return len([piece async for piece in measured(two_seconds())])

    assert asyncio.run(scenario()) == 4  # empty pieces pass, too
    by_name = {name: (value, tags) for name, value, tags in told}
    assert [name for name, _, _ in told] == [
        "baewoo_first_audio_seconds",
        "baewoo_audio_seconds_total",
        "baewoo_audio_seconds_total",
        "baewoo_real_time_factor",
    ]
    assert by_name["baewoo_first_audio_seconds"][1] == {"route": "jobs"}
    assert by_name["baewoo_audio_seconds_total"] == (1.0, {"voice": "sinip"})
    assert by_name["baewoo_real_time_factor"][1] == {"engine": "kokoro"}


def test_a_listener_who_leaves_is_counted(
    told: list[tuple[str, float, dict[str, str]]],
) -> None:
    async def scenario() -> None:
        async with aclosing(measured(two_seconds())) as pieces:
            await anext(pieces)

    asyncio.run(scenario())
    assert told == [("baewoo_cancels_total", 1, {"route": "jobs"})]
