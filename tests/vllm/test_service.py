"""The persona stage under Ray Serve, with every engine that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import serve

from deployments.calls import stream
from deployments.engine.persona.opening import has_vllm
from deployments.engine.persona.protocol import LineDone, LineRequest, TextDelta
from deployments.persona_llm import PersonaArgs, persona_llm_deployment
from models.persona.persona import Persona, Sampling
from models.storage import AwsAccess
from tests.unit.persona.personas import make_persona
from tests.unit.persona.tiny import TINY_REVISION
from tests.vllm.conftest import ENGINES
from tests.vllm.test_engines import request

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", params=ENGINES)
def handle(
    request: pytest.FixtureRequest,
    tiny_folder: Path,
    personas: tuple[Path, tuple[Persona, ...]],
) -> Iterator[Any]:
    """A handle of the stage, once it says that it is ready."""
    if request.param == "vllm" and not has_vllm():
        pytest.skip("vLLM lives in an environment of its own: make test-vllm")
    root, known = personas
    args = PersonaArgs(
        engine=request.param,
        base_model="tiny",
        base_folder=str(tiny_folder),
        base_revision=TINY_REVISION,
        precision="float32",
        max_adapters=2,
        max_lora_rank=8,
        kv_cache_mib=64,
    )
    ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=100 * 2**20)
    try:
        serve.start(proxy_location="Disabled")
        application = persona_llm_deployment.bind(
            storage_root=str(root),
            access=AwsAccess(),
            personas=list(known),
            external=None,
            **args.model_dump(),
        )
        handle = serve.run(application, name="persona", route_prefix=None)
        assert handle.ready.remote().result(timeout_s=300)
        yield handle
    finally:
        serve.shutdown()
        ray.shutdown()


@asynccontextmanager
async def events_of(handle: Any, wanted: LineRequest) -> AsyncIterator[Any]:
    response = handle.options(stream=True).generate.remote(wanted)
    async with aclosing(stream(response)) as events:
        yield events


async def line(handle: Any, wanted: LineRequest) -> str:
    """A line from its deltas."""
    async with events_of(handle, wanted) as events:
        *deltas, done = [event async for event in events]
    assert isinstance(done, LineDone)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == done.text
    return done.text


def test_characters_asked_at_once_do_not_mix(
    handle: Any, personas: tuple[Path, tuple[Persona, ...]]
) -> None:
    likeliest = Sampling(temperature=0.0, max_new_tokens=24)
    wanted = [request(persona, sampling=likeliest) for persona in personas[1]]

    async def alone() -> list[str]:
        return [await line(handle, one) for one in wanted]

    async def at_once() -> list[str]:
        return list(await asyncio.gather(*(line(handle, one) for one in wanted)))

    texts = asyncio.run(alone())

    assert asyncio.run(at_once()) == texts
    assert len(set(texts)) == 3


def test_a_caller_who_leaves_frees_the_stage(handle: Any) -> None:
    endless = request(
        make_persona(stop=()), sampling=Sampling(max_new_tokens=512, max_line_chars=1000)
    )

    async def act() -> None:
        async with events_of(handle, endless) as events:
            await anext(events)
            assert (await handle.stats.remote()).active == 1
        async with asyncio.timeout(10):
            while (await handle.stats.remote()).active:
                await asyncio.sleep(0.05)

    asyncio.run(act())
