"""The embedded characters on their real base model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

import models
from deployments.engine.persona.protocol import LineDone, LineRequest
from deployments.engine.persona.transformers_engine import TransformersEngine
from models.persona.adapter_files import AdapterFiles
from models.persona.base_model import BASE_MODEL, BASE_REVISION, ensure_base_model
from models.persona.persona import Persona
from models.persona.scene import Scene
from models.persona.speech_level import level_of
from models.storage import embedded_store

PERSONAS = Path(models.__file__).parent / "embedded" / "personas"


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    engine = TransformersEngine.from_folder(
        ensure_base_model(),
        base_model=BASE_MODEL,
        base_revision=BASE_REVISION,
        num_threads=1,
        adapters=AdapterFiles([embedded_store()]),
        max_line_s=600.0,  # the machine may have other things to do
    )
    yield engine
    asyncio.run(engine.close())


async def say(engine: TransformersEngine, persona: Persona, scene: str) -> LineDone:
    wanted = LineRequest("real", persona, Scene.parse(scene), seed=1)
    async with aclosing(engine.generate(wanted)) as events:
        done = [event async for event in events][-1]
    assert isinstance(done, LineDone)
    return done


def versions() -> list[Path]:
    """Folders of all versions that ship."""
    return sorted(path.parent for path in PERSONAS.glob("*/*/persona.json"))


@pytest.mark.parametrize("folder", versions(), ids=lambda path: f"{path.parent.name}@{path.name}")
def test_a_character_says_whole_sentences_in_its_speech_level(
    engine: TransformersEngine, folder: Path
) -> None:
    persona = Persona.load(folder)

    done = asyncio.run(say(engine, persona, "프린터가 또 고장 났다. [지문: 한숨을 쉬며]"))

    sentences = re.findall(r"[^.!?…~]+[.!?…~]+", done.text)
    assert "".join(sentences) == done.text
    assert {level_of(sentence) for sentence in sentences} == {persona.speech_level}
    assert re.fullmatch(r"[가-힣 .,!?…~]+", done.text)
    assert done.finish_reason == "stop"
