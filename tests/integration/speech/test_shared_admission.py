"""Two replicas of the ingress are one door: the bound holds however Serve spreads requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray import serve

from deployments.errors import Overloaded
from serve_app.admission import Admission, AdmissionArgs, num_ingress_replicas
from tests.integration.speech.conftest import Graph
from tests.integration.speech.fragile import SIGNALS

pytestmark = pytest.mark.ray

MAX_REQUESTS = 6
NUM_CALLERS = 24
NUM_REPLICAS = 2


@serve.deployment(
    name="Door",
    num_replicas=NUM_REPLICAS,
    max_ongoing_requests=NUM_CALLERS,
    ray_actor_options={"num_cpus": 0},
)
class Door:
    """Lets callers in as the ingress does, and keeps them until a test lets them go."""

    def __init__(self, args: AdmissionArgs) -> None:
        self._admission = Admission(args, num_ingress_replicas)

    async def num_replicas(self) -> int:
        return num_ingress_replicas()

    async def enter(self, audio_s: float) -> None:
        signals = ray.get_actor(SIGNALS)
        with self._admission.admitted(audio_s):
            await signals.begin.remote("Door", serve.get_replica_context().replica_tag)
            await signals.wait_until_heard.remote("Door")


@pytest.fixture(params=[{"max_requests": MAX_REQUESTS}, {"max_queued_audio_s": 10 * MAX_REQUESTS}])
def door(graph: Graph, request: pytest.FixtureRequest) -> Iterator[Any]:
    args = AdmissionArgs(**{"max_requests": 1000, "max_queued_audio_s": 1000, **request.param})
    yield serve.run(Door.bind(args), name="door", route_prefix=None)
    serve.delete("door")


def test_two_replicas_together_let_in_no_more_than_one_would(graph: Graph, door: Any) -> None:
    async def scenario() -> Counter[str]:
        while {await door.num_replicas.remote() for _ in range(8)} != {NUM_REPLICAS}:
            await asyncio.sleep(0.1)
        await graph.signals.doom.remote("Door")  # forget the callers of the test before
        # Whoever finds one door full comes again, until both are.
        callers = [asyncio.ensure_future(_enter_at_last(door)) for _ in range(MAX_REQUESTS)]
        async with asyncio.timeout(60):
            while len(await graph.signals.requests.remote("Door")) < MAX_REQUESTS:
                await asyncio.sleep(0.05)
        late = await asyncio.gather(*(_is_let_in(door) for _ in range(NUM_CALLERS)))
        assert not any(late)
        await graph.signals.hear.remote("Door")
        await asyncio.gather(*callers)
        return Counter(await graph.signals.requests.remote("Door"))

    inside = asyncio.run(scenario())
    assert list(inside.values()) == [MAX_REQUESTS // NUM_REPLICAS] * NUM_REPLICAS


async def _enter_at_last(door: Any) -> None:
    while not await _is_let_in(door):
        await asyncio.sleep(0.05)


async def _is_let_in(door: Any) -> bool:
    try:
        await door.enter.remote(10.0)
    except Overloaded:
        return False
    return True
