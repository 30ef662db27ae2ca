"""The batch that the stepping thread drives."""

from __future__ import annotations

import time

from deployments.engine.persona.batch import LineBatch, LineJob, Written
from deployments.engine.persona.prompt_ids import PromptEncoder
from deployments.engine.persona.protocol import LineDone, LineRequest
from deployments.engine.persona.runner import Runner
from deployments.engine.persona.writer import LineWriter
from models.persona.scene import Scene
from tests.unit.persona.personas import make_persona
from tests.unit.persona.tiny import tiny_model, tiny_tokenizer


def tiny_batch() -> LineBatch:
    runner = Runner(tiny_model(), num_rows=2)
    tokenizer = tiny_tokenizer()
    prompts = PromptEncoder(tokenizer, max_prompt_tokens=1024, max_history_tokens=256)
    return LineBatch(
        runner, LineWriter(runner, tokenizer, prompts, max_line_s=30.0, max_prefixes=2)
    )


def job(seed: int) -> LineJob:
    request = LineRequest("r", make_persona(), Scene("배가 고프다."), seed=seed)
    return LineJob(request, None, time.monotonic())


def written(batch: LineBatch) -> list[Written]:
    """All that the only line of the batch becomes."""
    found = []
    while not found or found[-1].end is None:
        (result,) = batch.step()
        assert result.token is not None
        found.append(result.token)
    return found


def text(pieces: list[Written]) -> str:
    end = pieces[-1].end
    assert isinstance(end, LineDone)
    return end.text


def test_a_resumed_line_goes_on_as_if_it_never_stopped() -> None:
    whole = tiny_batch()
    whole.join(job(1))
    pieces = written(whole)

    batch = tiny_batch()
    batch.resume(job(1), pieces[:5])
    rest = written(batch)

    assert [piece.text for piece in rest] == [piece.text for piece in pieces[5:]]
    assert text(rest) == text(pieces)


def test_a_line_that_left_takes_no_further_step() -> None:
    batch = tiny_batch()
    slot = batch.join(job(1))
    batch.step()

    batch.leave(slot)

    assert batch.step() == []
    assert batch.join(job(2)) == slot
