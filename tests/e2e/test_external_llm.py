"""The engine for models elsewhere, asking the real service as if it were one."""

import asyncio
from contextlib import aclosing

import httpx
import pytest
from pydantic import SecretStr

from deployments.engine.persona.openai_engine import ExternalLlm, OpenAIEngine
from deployments.engine.persona.protocol import ExternalRefused, LineDone, LineRequest, TextDelta
from models.persona.scene import Scene
from tests.e2e.service import Service
from tests.unit.persona.personas import make_persona

pytestmark = pytest.mark.e2e


async def line(service: Service, model: str) -> tuple[str, LineDone]:
    """What is written, piece by piece and as a whole."""
    external = ExternalLlm(f"{service.url}/v1", SecretStr("unused"), model)
    engine = OpenAIEngine(external, max_lines=1, max_line_s=100)
    wanted = LineRequest("r", make_persona(), Scene("점심시간이다."), seed=1, llm="external")
    try:
        async with aclosing(engine.generate(wanted)) as events:
            *deltas, done = [event async for event in events]
    finally:
        await engine.close()
    assert isinstance(done, LineDone)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), done


def test_a_line_of_the_service_arrives_in_pieces(service: Service) -> None:
    pieces, done = asyncio.run(line(service, "gemma-3-270m:bujang"))

    assert pieces == done.text
    assert done.format == "kept"


def test_a_model_that_is_not_there_is_refused(service: Service) -> None:
    with pytest.raises(ExternalRefused, match="status 404"):
        asyncio.run(line(service, "gemma-3-270m:nobody"))


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/assistant", {"character": "bujang", "prompt": "점심시간이다.", "llm": "external"}),
        (
            "/v1/chat/completions",
            {
                "model": "external:bujang",
                "messages": [{"role": "user", "content": "점심시간이다."}],
            },
        ),
    ],
)
def test_without_a_model_elsewhere_asking_for_it_is_the_callers_error(
    client: httpx.Client, route: str, body: dict[str, object]
) -> None:
    reply = client.post(route, json={"stream": True, **body})

    assert reply.status_code == 400
    assert "OPENAI_MODEL" in reply.text
