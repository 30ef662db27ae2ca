"""A small persona that tests shape to their needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.persona.persona import Example, Persona, Sampling, Template

_BASE = Persona(
    persona_id="tester",
    version="1",
    display_name="시험",
    description="시험용 인물",
    licence="Apache-2.0",
    base_model="tiny",
    script="hangul",
    speech_level=None,
    instruction="너는 부장이다.",
    template=Template(instruction="### 지시", input="### 입력", response="### 대사"),
    speaker_names=("부장",),
    stop=("\n", "###"),
    sampling=Sampling(max_new_tokens=24),
    examples=(Example(scene="배가 고프다.", line="밥 먹자."),),
)


def make_persona(**changes: Any) -> Persona:
    """The test persona with `changes` to its fields."""
    return replace(_BASE, **changes)
