"""Who writes the lines that are marked: an engine in this process, or a running service."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import httpx

from deployments.engine.persona.protocol import (
    EngineError,
    LineDone,
    LineRequest,
    PersonaEngine,
)
from models.persona.line import Format
from models.persona.persona import Persona
from models.persona.scene import Scene, Turn

_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Written:
    """A line as it was answered.

    `format` is what the engine had to do about it; None where the author does not say. `error` is
    why there is no line.
    """

    text: str
    total_s: float
    format: Format | None = None
    error: str | None = None


class Author(Protocol):
    """Writes lines under a name."""

    name: str

    async def write(self, scene: Scene, history: Sequence[Turn], seed: int) -> Written:
        """One line; what goes wrong is told in it."""
        ...


class EngineAuthor:
    """A persona on an engine.

    Args:
        name: of the column.
        engine: local, or of a server elsewhere.
        persona: with its adapter, or without.
    """

    def __init__(self, name: str, engine: PersonaEngine, persona: Persona) -> None:
        self.name = name
        self._engine = engine
        self._persona = persona

    async def write(self, scene: Scene, history: Sequence[Turn], seed: int) -> Written:
        """See `Author.write`."""
        request = LineRequest(
            f"evaluate-{self.name}", self._persona, scene, tuple(history), seed=seed
        )
        try:
            async with aclosing(self._engine.generate(request)) as events:
                done = [event async for event in events][-1]
        except EngineError as error:
            return Written("", 0.0, error=f"{type(error).__name__}: {error}")
        assert isinstance(done, LineDone)  # the last event of every line
        return Written(done.text, done.total_s, done.format)


class ServiceAuthor:
    """A persona of a running service, asked over `/v1/chat/completions`.

    Args:
        client: with the service's address.
        model: the chat model, `<base>:<persona>`.
    """

    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self.name = model
        self._client = client
        self._model = model

    async def write(self, scene: Scene, history: Sequence[Turn], seed: int) -> Written:
        """See `Author.write`; the time is that of the whole request."""
        roles: dict[str, Literal["user", "assistant"]] = {"user": "user", "character": "assistant"}
        messages = [{"role": roles[turn.role], "content": turn.text} for turn in history]
        messages.append({"role": "user", "content": scene.to_input()})
        body: dict[str, Any] = {"model": self._model, "messages": messages, "seed": seed}
        started_s = time.monotonic()
        try:
            reply = await self._client.post("/v1/chat/completions", json=body)
            reply.raise_for_status()
            text = str(reply.json()["choices"][0]["message"]["content"])
        except (httpx.HTTPError, LookupError, ValueError) as error:
            return Written("", time.monotonic() - started_s, error=f"{type(error).__name__}")
        return Written(text, time.monotonic() - started_s)


def service_client(url: str) -> httpx.AsyncClient:
    """A client of a running service; `BAEWOO_API_KEY` is its bearer token, if it is set."""
    key = os.environ.get("BAEWOO_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT_S)


async def chat_model(client: httpx.AsyncClient, persona_id: str) -> str:
    """The chat model by which a service serves a persona.

    Raises:
        ValueError: the service has none, or does not answer.
    """
    try:
        reply = await client.get("/v1/models")
        reply.raise_for_status()
        names = [str(model["id"]) for model in reply.json()["data"]]
    except (httpx.HTTPError, LookupError, TypeError) as error:
        raise ValueError(f"the service does not list its models: {error!r}") from None
    for name in names:
        if name.endswith(f":{persona_id}"):
            return name
    raise ValueError(f"the service has no chat model of {persona_id!r}; it has {', '.join(names)}")
