import asyncio
from collections.abc import AsyncIterator

import pytest

from deployments.driver.written_line import WrittenLine
from deployments.engine.persona.protocol import LineDone, LineEvent, TextDelta
from deployments.errors import GenerationFailed

DONE = LineDone(
    text="뭐라고? !! 그래.",
    finish_reason="stop",
    seed=4,
    num_prompt_tokens=9,
    num_cached_tokens=0,
    num_new_tokens=5,
    num_history_turns=0,
    queued_s=0.0,
    first_text_s=0.1,
    total_s=0.2,
)


async def events(*deltas: str, done: LineDone | None = DONE) -> AsyncIterator[LineEvent]:
    for delta in deltas:
        yield TextDelta(delta)
    if done is not None:
        yield done


def read(line: WrittenLine) -> list[str]:
    async def collect() -> list[str]:
        return [sentence async for sentence in line.sentences()]

    return asyncio.run(collect())


def test_sentences_come_out_whole_and_the_end_is_kept() -> None:
    line = WrittenLine(events("뭐라", "고? !", "! 그래."))
    assert read(line) == ["뭐라고?", "!! 그래."]
    assert line.done == DONE


def test_a_line_that_breaks_off_has_no_end() -> None:
    line = WrittenLine(events("뭐라고?", done=None))
    read(line)
    with pytest.raises(GenerationFailed, match="broke off"):
        _ = line.done
