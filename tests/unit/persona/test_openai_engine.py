"""Lines from an OpenAI-compatible server on loopback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import pytest
from pydantic import SecretStr

from deployments.engine.persona.openai_engine import ExternalLlm, OpenAIEngine
from deployments.engine.persona.protocol import (
    EmptyLine,
    EngineBusy,
    EngineError,
    EngineLost,
    ExternalRefused,
    LineDone,
    LineRequest,
    LineTimeout,
    TextDelta,
)
from models.persona.persona import Sampling
from models.persona.scene import Scene, Turn
from tests.unit.persona.openai_server import Script, openai_server
from tests.unit.persona.personas import make_persona

Result = TypeVar("Result")

KEY = "sk-very-secret"
REQUEST = LineRequest(
    "r",
    make_persona(),
    Scene("점심시간이다.", direction="신나서"),
    history=(Turn("user", "아침이다."), Turn("character", "졸리다.")),
    seed=7,
    llm="external",
)


def with_engine(
    url: str, act: Callable[[OpenAIEngine], Awaitable[Result]], max_line_s: float = 300.0
) -> Result:
    async def run() -> Result:
        external = ExternalLlm(url, SecretStr(KEY), "big-model")
        engine = OpenAIEngine(external, max_lines=1, max_line_s=max_line_s)
        try:
            return await act(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


async def line(engine: OpenAIEngine) -> LineDone:
    """Have the line of `REQUEST` written; its deltas must be its text."""
    async with aclosing(engine.generate(REQUEST)) as events:
        *deltas, done = [event async for event in events]
    assert isinstance(done, LineDone)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == done.text
    return done


def test_a_line_is_what_the_server_says() -> None:
    with openai_server(Script()) as url:
        done = with_engine(url, line)

    assert (done.text, done.finish_reason, done.format, done.seed) == (
        "밥 먹자.",
        "stop",
        "kept",
        7,
    )


def test_the_server_is_told_the_character_the_history_and_the_scene() -> None:
    script = Script()
    with openai_server(script) as url:
        with_engine(url, line)

    (asked,) = script.asked
    assert asked["model"] == "big-model"
    assert (asked["seed"], asked["temperature"]) == (7, REQUEST.persona.sampling.temperature)
    first, *others = [(message["role"], message["content"]) for message in asked["messages"]]
    assert first[0] == "system" and first[1].startswith(REQUEST.persona.instruction)
    assert others == [
        ("user", "상황: 배가 고프다."),
        ("assistant", "밥 먹자."),
        ("user", "상황: 아침이다."),
        ("assistant", "졸리다."),
        ("user", "상황: 점심시간이다. [지문: 신나서]"),
    ]


def test_what_is_no_line_is_repaired() -> None:
    with openai_server(Script(pieces=[["부장: ", '"밥 ', '먹자."', "\n\n설명입니다."]])) as url:
        done = with_engine(url, line)

    assert (done.text, done.format) == ("밥 먹자.", "repaired")


def test_an_empty_line_is_asked_for_once_more() -> None:
    script = Script(pieces=[["(웃으며)"], ["밥 먹자."]])
    with openai_server(script) as url:
        done = with_engine(url, line)

    assert (done.text, done.format, done.seed) == ("밥 먹자.", "asked_again", 8)
    assert [asked["seed"] for asked in script.asked] == [7, 8]


def test_a_line_that_is_empty_twice_is_an_error() -> None:
    with openai_server(Script(pieces=[["…"]])) as url, pytest.raises(EmptyLine):
        with_engine(url, line)


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(401, ExternalRefused), (404, ExternalRefused), (400, ExternalRefused), (429, EngineBusy)],
)
def test_a_refusal_is_passed_on_without_the_key(
    status: int, error_class: type[EngineError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    script = Script(status=status, error=f"Incorrect API key provided: {KEY}")
    with openai_server(script) as url, pytest.raises(error_class) as refusal:
        with_engine(url, line)

    assert set(script.keys) == {f"Bearer {KEY}"}
    assert KEY not in str(refusal.value)
    assert refusal.value.__suppress_context__
    logged = "".join(logging.Formatter().format(record) for record in caplog.records)
    assert "/chat/completions" in logged  # whoever asks logs it, down to the request
    assert KEY not in logged


def test_a_broken_server_is_a_lost_engine() -> None:
    with openai_server(Script(status=500)) as url, pytest.raises(EngineLost, match="status 500"):
        with_engine(url, line)


def test_no_server_is_a_lost_engine() -> None:
    with pytest.raises(EngineLost, match="can't be reached: APIConnectionError"):
        with_engine("http://127.0.0.1:9/v1", line)


def test_a_server_without_a_word_in_time_is_an_error() -> None:
    with openai_server(Script(pause_s=5.0)) as url, pytest.raises(LineTimeout):
        with_engine(url, line, max_line_s=0.2)


def test_a_server_that_asks_for_patience_is_given_no_more_than_a_line_has() -> None:
    script = Script(status=429, retry_after_s=30)

    with openai_server(script) as url, pytest.raises(LineTimeout):
        with_engine(url, line, max_line_s=1.0)


@pytest.mark.parametrize("garbage", [b"{", b'"\xff"', b"[" * 100_000], ids=len)
def test_a_reply_that_is_no_json_is_a_lost_engine(garbage: bytes) -> None:
    script = Script(garbage=b"data: %b\n\n" % garbage)
    with openai_server(script) as url, pytest.raises(EngineLost, match="no JSON"):
        with_engine(url, line)


@pytest.mark.parametrize(
    "other",
    [
        b"null",
        b"[1]",
        b'{"choices": [null]}',
        b'{"choices": [{"index": 0, "delta": null}]}',
        b'{"choices": [{"index": 0, "delta": {"content": 5}}]}',
        b'{"choices": [{"index": 0, "delta": {"content": "\\ud800"}}]}',
    ],
)
def test_what_is_no_text_adds_nothing_to_a_line(other: bytes) -> None:
    with openai_server(Script(garbage=b"data: %b\n\n" % other)) as url:
        done = with_engine(url, line)

    assert done.text == "밥 먹자."


def test_leaving_ends_the_servers_work_and_makes_room() -> None:
    script = Script(pieces=[["가 " for _ in range(1000)]], pause_s=0.01)

    async def leave(engine: OpenAIEngine) -> int:
        endless = LineRequest(
            "r", make_persona(), Scene("밥"), sampling=Sampling(max_line_chars=1000)
        )
        async with aclosing(engine.generate(endless)) as events:
            await anext(events)
            with pytest.raises(EngineBusy):
                await line(engine)
        assert await asyncio.to_thread(script.left.wait, 120)
        return engine.health().num_running

    with openai_server(script) as url:
        assert with_engine(url, leave) == 0
