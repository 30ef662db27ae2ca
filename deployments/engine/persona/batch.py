"""Lines that are written together, a token each per step."""

from __future__ import annotations

import time
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from deployments.engine.persona.lora import BoundAdapter
from deployments.engine.persona.protocol import (
    AdapterRefused,
    EmptyLine,
    EngineError,
    LineDone,
    LineRequest,
    LineTimeout,
    empty_line_detail,
    seeds_of,
)
from deployments.engine.persona.runner import Runner
from deployments.engine.persona.sequence import Sequence
from deployments.engine.persona.writer import LineWriter
from models.persona.line import Format
from models.persona.persona import Persona


@dataclass(frozen=True)
class LineJob:
    """A line to write; `arrived_s` is a reading of `time.monotonic`."""

    request: LineRequest
    adapter: BoundAdapter | None
    arrived_s: float


@dataclass(frozen=True)
class WarmJob:
    """A persona to prepare; it takes a slot for one step and writes nothing."""

    persona: Persona
    adapter: BoundAdapter | None


@dataclass(frozen=True)
class Written:
    """What a step added to a line, and how the line ended if it did."""

    text: str
    end: LineDone | EngineError | None = None


@dataclass(frozen=True)
class SlotResult:
    """What a step did to the line in a slot; see `batching.RunnerResult`."""

    slot: int
    token: Written | None
    finish_reason: Literal["end"] | None


@dataclass
class _Line:
    job: LineJob
    seed: int
    sequence: Sequence
    started_s: float = field(default_factory=time.monotonic)
    first_text_s: float = 0.0


class LineBatch:
    """The runner of `BatchingEngine` that writes lines. For one thread.

    Args:
        runner: computes the steps.
        writer: starts the lines.
    """

    def __init__(self, runner: Runner, writer: LineWriter) -> None:
        self._runner = runner
        self._writer = writer
        self._lines: dict[int, _Line | None] = {}  # by slot; None for what was only warmed

    def join(self, job: LineJob | WarmJob) -> int:
        """Read the prompt; the slot it got.

        Raises:
            PromptTooLong, SceneError: see `LineWriter.start`.
        """
        slot = next(idx for idx in range(len(self._lines) + 1) if idx not in self._lines)
        if isinstance(job, WarmJob):
            self._writer.warm(job.persona, job.adapter)
            self._lines[slot] = None
        else:
            started_s = time.monotonic()
            sequence = self._writer.start(job.request, job.request.seed, job.adapter)
            self._lines[slot] = _Line(job, job.request.seed, sequence, started_s)
        return slot

    def leave(self, slot: int) -> None:
        """Forget the line in a slot."""
        if slot not in self._lines:
            raise ValueError(f"slot {slot} is free")
        del self._lines[slot]

    def resume(self, job: LineJob | WarmJob, tokens: SequenceOf[Written]) -> int:
        """`join`, and write again what was written: a seed gives the same line every time."""
        slot = self.join(job)
        line = self._lines[slot]
        if line is not None:
            for _ in tokens:
                self._write([line])
        return slot

    def step(self) -> SequenceOf[SlotResult]:
        """A token for every line; those that end free their slots."""
        lines = {slot: line for slot, line in self._lines.items() if line is not None}
        warmed = self._lines.keys() - lines.keys()
        results = [SlotResult(slot, None, "end") for slot in warmed]
        for slot, written in zip(lines, self._write(list(lines.values())), strict=True):
            results.append(SlotResult(slot, written, "end" if written.end else None))
        for result in results:
            if result.finish_reason is not None:
                del self._lines[result.slot]
        return results

    def _write(self, lines: SequenceOf[_Line]) -> list[Written]:
        logits = self._runner.step([line.sequence.row for line in lines]) if lines else []
        return [
            self._advance(line, row_logits) for line, row_logits in zip(lines, logits, strict=True)
        ]

    def _advance(self, line: _Line, logits: Tensor) -> Written:
        # Drawing would raise, and break the step of every other line.
        if not logits.isfinite().all():
            persona = line.job.request.persona
            return Written("", AdapterRefused(f"what {persona.ref} computes is no number"))
        text = line.sequence.take(logits)
        if text:
            line.first_text_s = line.first_text_s or time.monotonic() - line.started_s
        if not line.sequence.is_over:
            return Written(text)
        if not line.sequence.cleaner.is_empty:
            return Written(text, _done(line))
        return self._ask_again(line)

    def _ask_again(self, line: _Line) -> Written:
        """Nothing that can be spoken was written: draw once more, or give up."""
        request = line.job.request
        if line.sequence.cleaner.finish_reason == "time":
            waited_s = time.monotonic() - line.started_s
            return Written("", LineTimeout(f"no word within {waited_s:.0f} s"))
        if line.seed != request.seed:
            return Written("", EmptyLine(empty_line_detail(request)))
        _, line.seed = seeds_of(request)
        line.sequence = self._writer.start(request, line.seed, line.job.adapter)
        return Written("")


def _done(line: _Line) -> LineDone:
    sequence = line.sequence
    repaired: Format = "repaired" if sequence.cleaner.is_repaired else "kept"
    return LineDone(
        text=sequence.cleaner.text,
        finish_reason=sequence.cleaner.finish_reason or "stop",
        format="asked_again" if line.seed != line.job.request.seed else repaired,
        seed=line.seed,
        num_prompt_tokens=sequence.num_prompt_tokens,
        num_cached_tokens=sequence.num_cached_tokens,
        num_new_tokens=sequence.num_new_tokens,
        num_history_turns=sequence.num_history_turns,
        queued_s=line.started_s - line.job.arrived_s,
        first_text_s=line.first_text_s,
        total_s=time.monotonic() - line.started_s,
    )
