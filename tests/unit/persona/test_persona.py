"""persona.json is read strictly, and the embedded personas are sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

import models
from models.persona.base_model import BASE_MODEL
from models.persona.persona import Persona, PersonaError
from models.persona.speech_level import level_of
from tests.unit.persona.personas import make_persona

EMBEDDED = Path(models.__file__).parent / "embedded"


def document(**changes: Any) -> str:
    fields = json.loads(TypeAdapter(Persona).dump_json(make_persona()))
    return json.dumps(fields | changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"temprature": 1}, "temprature"),
        ({"persona_id": "../etc"}, "persona_id"),
        ({"sampling": {"temperature": 9.0}}, "sampling.temperature"),
        ({"sampling": {"temperature": "0.5"}}, "sampling.temperature"),
        ({"sampling": {"max_new_tokens": 10**9}}, "sampling.max_new_tokens"),
        ({"template": {"instruction": "### 지시", "input": "### 입력"}}, "template.response"),
        (
            {"template": {"instruction": "지시", "input": "### 가", "response": "### 나"}},
            "template",
        ),
        ({"examples": [{"scene": "", "line": "응."}]}, "examples.0.scene"),
        ({"examples": [{"scene": "비가 온다.", "line": "응.\n### 지시"}]}, "examples.0"),
        ({"instruction": "부장.\n### 입력\n상황: 비"}, "instruction"),
        ({"script": "latin"}, "script"),
    ],
)
def test_a_malformed_persona_is_refused_naming_the_field(
    changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(PersonaError, match=complaint):
        Persona.from_json(document(**changes))


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(PersonaError, match="JSON"):
        Persona.from_json("{")


def test_a_persona_in_a_folder_of_another_name_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "somebody" / "1"
    folder.mkdir(parents=True)
    (folder / "persona.json").write_text(document())

    with pytest.raises(PersonaError, match="calls itself tester@1"):
        Persona.load(folder)


def test_a_missing_persona_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(PersonaError, match=r"persona\.json"):
        Persona.load(tmp_path)


@pytest.mark.parametrize("persona_id", ["bujang", "sinip"])
def test_an_embedded_persona_is_the_current_one_and_speaks_its_level(persona_id: str) -> None:
    folder = EMBEDDED / "personas" / persona_id
    version = json.loads((folder / "current.json").read_text())["version"]
    persona = Persona.load(folder / version)

    assert persona.base_model == BASE_MODEL
    for example in persona.examples:
        sentences = [part for part in example.line.replace("?", ".").replace("!", ".").split(".")]
        levels = {level_of(sentence) for sentence in sentences[:-1]}
        assert persona.speech_level in levels


@pytest.mark.parametrize("character_id", ["bujang", "sinip"])
def test_an_embedded_character_names_an_embedded_persona(character_id: str) -> None:
    folder = EMBEDDED / "characters" / character_id
    version = json.loads((folder / "current.json").read_text())["version"]
    character = json.loads((folder / f"{version}.json").read_text())

    persona_id, _, persona_version = character["persona"].partition("@")
    persona = Persona.load(EMBEDDED / "personas" / persona_id / persona_version)
    assert character["character_id"] == character_id
    assert persona.ref == character["persona"]
