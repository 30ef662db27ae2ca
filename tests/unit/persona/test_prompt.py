"""The prompt: three sections, the persona's part first, old turns trimmed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.persona.persona import Persona
from models.persona.prompt import build_prompt, prompt_prefix
from models.persona.scene import MAX_HISTORY_TURNS, Scene, SceneError, Turn
from tests.unit.persona.personas import make_persona
from tests.unit.persona.test_scene import hostile_text, scene_or_none

PERSONA = make_persona()


def write(scene: Scene, history: list[Turn], max_history_tokens: int = 10_000) -> str:
    prompt = build_prompt(
        PERSONA, scene, history, count_tokens=len, max_history_tokens=max_history_tokens
    )
    return prompt.prefix + prompt.suffix


def headers(text: str) -> list[str]:
    return re.findall(r"^###.*$", text, flags=re.MULTILINE)


def test_a_prompt_is_sheet_examples_history_scene_and_an_open_response() -> None:
    history = [Turn("user", "눈이 온다."), Turn("character", "눈치가 온다.")]

    assert write(Scene("비가 온다.", direction="웃으며"), history) == (
        "### 지시\n너는 부장이다.\n\n"
        "### 입력\n상황: 배가 고프다.\n\n### 대사\n밥 먹자.\n\n"
        "### 입력\n상황: 눈이 온다.\n\n### 대사\n눈치가 온다.\n\n"
        "### 입력\n상황: 비가 온다. [지문: 웃으며]\n\n### 대사\n"
    )


@given(hostile_text, hostile_text, hostile_text)
def test_no_scene_or_history_can_add_a_section(situation: str, direction: str, said: str) -> None:
    scene = scene_or_none(situation=situation, direction=direction)
    if scene is None:
        return
    try:
        history = [Turn("user", situation), Turn("character", said)]
    except SceneError:
        history = []

    sections = headers(write(scene, history))

    expected = ["### 지시", "### 입력", "### 대사"] + ["### 입력", "### 대사"] * (
        1 + len(history) // 2
    )
    assert sections == expected


@given(hostile_text, hostile_text)
def test_a_scene_holds_at_most_the_direction_it_was_given(situation: str, direction: str) -> None:
    scene = scene_or_none(situation=situation, direction=direction)
    if scene is None:
        return

    assert write(scene, []).count("[지문:") == bool(scene.direction)


def test_the_prefix_is_the_same_for_every_request() -> None:
    first = build_prompt(PERSONA, Scene("비가 온다."), [], count_tokens=len, max_history_tokens=9)
    second = build_prompt(
        PERSONA,
        Scene("눈이 온다."),
        [Turn("user", "안녕.")],
        count_tokens=len,
        max_history_tokens=99,
    )

    assert first.prefix == second.prefix == prompt_prefix(PERSONA)


@given(st.integers(0, 200))
def test_the_oldest_turns_are_left_out_until_the_rest_fits(max_tokens: int) -> None:
    history = [Turn("character", f"{idx}번째 대사") for idx in range(10)]

    prompt = build_prompt(
        PERSONA, Scene("비."), history, count_tokens=len, max_history_tokens=max_tokens
    )
    kept = history[len(history) - prompt.num_history_turns :]
    sections = [f"### 대사\n{turn.text}\n\n" for turn in kept]

    assert prompt.suffix.startswith("".join(sections) + "### 입력")
    assert sum(map(len, sections)) <= max_tokens
    one_more = history[-prompt.num_history_turns - 1 :]
    assert prompt.num_history_turns == len(history) or (
        sum(len(f"### 대사\n{turn.text}\n\n") for turn in one_more) > max_tokens
    )


def test_more_turns_than_allowed_are_refused() -> None:
    history = [Turn("user", "안녕.")] * (MAX_HISTORY_TURNS + 1)

    with pytest.raises(SceneError, match=f"at most {MAX_HISTORY_TURNS}"):
        write(Scene("비가 온다."), history)


def test_a_persona_survives_its_json() -> None:
    from pydantic import TypeAdapter

    data = TypeAdapter(Persona).dump_json(PERSONA)

    assert Persona.from_json(data) == PERSONA
