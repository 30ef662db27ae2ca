"""Which model answers: the one that was asked for, or the other when that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deployments.engine.persona.openai_engine import ExternalLlm
from deployments.engine.persona.protocol import EngineBusy, LineDone, LineEvent, LineRequest
from deployments.errors import InvalidInput, NotReady
from deployments.persona_llm import PersonaArgs, PersonaLLM
from models.persona.persona import Persona
from models.persona.scene import Scene
from models.storage import AwsAccess, StorageUnavailable
from tests.unit.persona.openai_server import Script, openai_server
from tests.unit.persona.personas import make_persona
from tests.unit.persona.tiny import tiny_model, tiny_tokenizer

LOCAL = LineRequest("r", make_persona(), Scene("배가 고프다."), seed=1)
EXTERNAL = replace(LOCAL, llm="external")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def persona_llm(
    folder: Path, url: str | None, personas: Sequence[Persona] = (), **args: Any
) -> PersonaLLM:
    external = None if url is None else ExternalLlm(url, SecretStr("key"), "big-model")
    settings = PersonaArgs(
        engine="transformers", base_model="tiny", base_folder=str(folder), precision="float32"
    ).model_dump()
    return PersonaLLM(
        storage_root=str(folder / "storage"),
        access=AwsAccess(),
        personas=list(personas),
        external=external,
        **(settings | args),
    )


async def stop(stage: PersonaLLM) -> None:
    """End the engine, as Serve does."""
    closing = stage.__del__()
    assert closing is not None
    await closing


async def text(events: AsyncGenerator[LineEvent]) -> str:
    done = [event async for event in events][-1]
    assert isinstance(done, LineDone)
    return done.text


def test_a_request_chooses_its_model(folder: Path) -> None:
    async def act(url: str) -> tuple[str, str]:
        stage = persona_llm(folder, url)
        texts = await text(stage.generate(LOCAL)), await text(stage.generate(EXTERNAL))
        await stop(stage)
        return texts

    with openai_server(Script(pieces=[["밖에서 왔다."]])) as url:
        local, external = asyncio.run(act(url))

    assert external == "밖에서 왔다."
    assert local != external


def test_a_persona_that_cannot_be_served_keeps_no_other_waiting(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = make_persona(persona_id="foreign", base_model="huge")

    async def act() -> tuple[bool, str]:
        stage = persona_llm(folder, None, [foreign, LOCAL.persona])
        is_ready = await stage.ready()
        line = await text(stage.generate(LOCAL))
        await stop(stage)
        return is_ready, line

    is_ready, line = asyncio.run(act())

    assert is_ready and line
    assert "foreign@1 was made for huge" in caplog.text


class _Forgetful:
    """An engine that prepares what it is given, once nothing keeps it back."""

    def __init__(self, obstacles: list[Exception | None]) -> None:
        self._obstacles = iter(obstacles)
        self.prepared: list[str] = []

    async def warm(self, persona: Persona) -> None:
        if (obstacle := next(self._obstacles)) is not None:
            raise obstacle
        self.prepared.append(persona.persona_id)


@pytest.mark.parametrize("obstacle", [StorageUnavailable("no answer"), EngineBusy("full")])
def test_a_persona_that_was_kept_back_is_prepared_later(folder: Path, obstacle: Exception) -> None:
    personas = [make_persona(persona_id="first"), make_persona(persona_id="second")]

    async def act() -> tuple[list[bool], list[str]]:
        stage = persona_llm(folder, None, personas)
        engine = _Forgetful([obstacle, None, obstacle, None])
        stage._engine.warm = engine.warm  # type: ignore[method-assign]
        is_ready = []
        for _ in range(4):
            is_ready.append(await stage.ready())
            assert stage._warming is not None
            await stage._warming
        await stop(stage)
        return is_ready, engine.prepared

    assert asyncio.run(act()) == ([True] * 4, ["second", "first"])


def test_an_error_nobody_foresaw_is_told_and_tried_again(folder: Path) -> None:
    async def act() -> list[str]:
        stage = persona_llm(folder, None, [LOCAL.persona])
        warm = stage._engine.warm
        stage._engine.warm = _fail  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="odd"):
            await stage.ready()
        stage._engine.warm = warm  # type: ignore[method-assign]
        is_ready = await stage.ready()
        await stop(stage)
        return [str(is_ready)]

    assert asyncio.run(act()) == ["True"]


async def _fail(persona: Persona) -> None:
    raise RuntimeError("odd")


def test_no_external_model_is_the_callers_error(folder: Path) -> None:
    async def act() -> None:
        stage = persona_llm(folder, None)
        with pytest.raises(InvalidInput, match="OPENAI_MODEL"):
            await text(stage.generate(EXTERNAL))
        await stop(stage)

    asyncio.run(act())


def test_the_external_model_answers_once_the_local_one_is_lost(folder: Path) -> None:
    async def act(url: str) -> str:
        stage = persona_llm(folder, url, external_fallback=True)
        await stage._engine.close()
        assert await stage.ready()
        line = await text(stage.generate(LOCAL))
        await stop(stage)
        return line

    with openai_server(Script(pieces=[["밖에서 왔다."]])) as url:
        assert asyncio.run(act(url)) == "밖에서 왔다."


def test_without_leave_to_fall_back_a_lost_engine_is_an_error(folder: Path) -> None:
    async def act(url: str) -> None:
        stage = persona_llm(folder, url)
        await stage._engine.close()
        with pytest.raises(NotReady):
            await text(stage.generate(LOCAL))
        await stop(stage)

    with openai_server(Script()) as url:
        asyncio.run(act(url))
