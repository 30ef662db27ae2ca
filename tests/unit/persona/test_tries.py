"""Lines of engines that answer with text: pieces in, events out, within the time of a line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Literal

import pytest

from deployments.engine.persona.protocol import (
    EmptyLine,
    LineDone,
    LineEvent,
    LineRequest,
    LineTimeout,
    TextDelta,
)
from deployments.engine.persona.tries import LineTry, PiecesOf, written
from models.persona.scene import Scene
from tests.unit.persona.personas import make_persona


def says(*lines: list[str], last_reason: Literal["stop", "length"] = "stop") -> PiecesOf:
    """One list of pieces for each try; where one ends with "silence", no more comes."""
    tries = iter(lines)

    async def pieces_of(line: LineTry) -> AsyncGenerator[str, None]:
        line.last_reason = last_reason
        for piece in next(tries):
            if piece == "silence":
                await asyncio.Event().wait()
            yield piece

    return pieces_of


def events(pieces_of: PiecesOf, max_line_s: float = 60.0, seed: int = 1) -> list[LineEvent]:
    request = LineRequest("r", make_persona(), Scene("배가 고프다."), seed=seed)

    async def collect() -> list[LineEvent]:
        line = written(request, pieces_of, arrived_s=time.monotonic() - 100, max_line_s=max_line_s)
        return [event async for event in line]

    return asyncio.run(collect())


def done(found: list[LineEvent]) -> LineDone:
    """The last event; those before it must be its text."""
    *deltas, end = found
    assert isinstance(end, LineDone)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == end.text
    return end


def test_pieces_become_a_line() -> None:
    line = done(events(says(["밥 ", "먹자", "."])))

    assert (line.text, line.finish_reason, line.format) == ("밥 먹자.", "stop", "kept")


def test_a_line_ends_at_its_stop_string_though_more_would_come() -> None:
    assert done(events(says(["밥 먹자.\n", "silence"]))).text == "밥 먹자."


def test_a_line_that_the_model_breaks_off_ends_after_its_last_sentence() -> None:
    line = done(events(says(["밥 먹자. 그리고 또"], last_reason="length")))

    assert (line.text, line.finish_reason) == ("밥 먹자.", "length")


def test_the_time_for_a_line_does_not_count_what_it_waited_before() -> None:
    line = done(events(says(["밥 먹자."])))

    assert line.queued_s > 99
    assert line.total_s < 60


def test_a_model_that_falls_silent_ends_the_line_in_time() -> None:
    line = done(events(says(["밥 먹자. 그리고 ", "silence"]), max_line_s=0.05))

    assert (line.text, line.finish_reason) == ("밥 먹자.", "time")


def test_silence_without_a_word_is_an_error() -> None:
    with pytest.raises(LineTimeout, match="no word within"):
        events(says(["silence"]), max_line_s=0.05)


def test_a_second_try_has_the_next_seed_and_the_largest_is_followed_by_none_larger() -> None:
    line = done(events(says(["…"], ["밥 먹자."]), seed=7))
    wrapped = done(events(says(["…"], ["밥 먹자."]), seed=2**63 - 1))

    assert (line.seed, line.format, wrapped.seed) == (8, "asked_again", 0)


def test_two_empty_tries_are_an_error() -> None:
    with pytest.raises(EmptyLine, match="tester@1 said nothing with seed 1"):
        events(says(["…"], ["(웃으며)"]))
