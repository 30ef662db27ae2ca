"""From measured speeds to streams, machines and money: the figures of `docs/capacity.md`.

    python -m benchmarks.capacity            # writes the tables into the page

Speeds are read from `benchmarks/results/*.json`. Prices and the figures of GPUs are assumptions,
and stand here, in one place, with the formulas that use them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import markdown_table
from benchmarks.work import TOKENS_PER_AUDIO_S
from deployments.autoscaling.demand import StageSpeed

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "capacity.md"

AUDIO_S_PER_LINE = 5.0
"""A character's line, or a sentence or two of a text."""

TARGET_USE = 0.7
USD_PER_VCPU_HOUR = 0.045
"""Assumed: a general-purpose cloud machine, on demand."""

FIRST_SEGMENT_S = 2.0
"""Audio of a first segment, which a listener waits for in S1: the first clause."""

_S1_SLOTS = 32
_EFFICIENCY_OF_MEMORY = 0.6
_EFFICIENCY_OF_ARITHMETIC = 0.1
"""Assumed shares of a GPU's peaks. Arithmetic: S2's convolutions are narrow, and many are small."""

_S1_LAUNCHES_S = 1e-3
"""Assumed: 24 layers of some ten small kernels in a captured CUDA graph, 4 µs each."""

_POSITIONS = 300
"""Cache positions of a sequence in the middle of its segment: text, prompt, half of its tokens."""


@dataclass(frozen=True)
class Stage:
    """One replica of a stage.

    Args:
        speed: in `unit`s a second.
        units_per_line: what a line asks of it.
        num_slots: lines in work at once.
        first_piece_s: from a line's start to what the next stage can work on, in a full batch.
        vcpus: what a replica occupies.
        source: file of the measurement.
    """

    name: str
    speed: StageSpeed
    unit: str
    units_per_line: float
    num_slots: int
    first_piece_s: float
    vcpus: int
    source: str

    @property
    def lines_per_s(self) -> float:
        """Lines of a replica with a full batch."""
        return self.speed.full_rate_per_s / self.units_per_line

    @property
    def usd_per_hour(self) -> float:
        """Price of a replica."""
        return self.vcpus * USD_PER_VCPU_HOUR


def fixed_step_share(step_alone: float, step_full: float, batch: int) -> float:
    """`StageSpeed.fixed_step_share` from the steps of a batch of one and of a full one."""
    per_sequence = (step_full - step_alone) / (batch - 1)
    return min(1.0, max(0.0, (step_alone - per_sequence) / step_full))


def rows_of(name: str, **wanted: object) -> list[dict[str, Any]]:
    """Rows of a result in which the named columns have these values.

    Raises:
        ValueError: there is none.
    """
    document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    rows = [row for row in document["rows"] if wanted.items() <= row.items()]
    if not rows:
        raise ValueError(f"{name}.json has no row with {wanted}")
    return rows


def _row(name: str, **wanted: object) -> dict[str, Any]:
    return rows_of(name, **wanted)[0]


def cpu_stages() -> dict[str, Stage]:
    """The stages as they were measured on CPU cores."""
    return {stage.name: stage for stage in (_persona(), _s1(_S1_SLOTS), _s2())}


def _persona() -> Stage:
    alone, full = rows_of("persona")
    batch = full["batch"]
    step_alone, step_full = alone["cpu_s_per_line"], batch * full["cpu_s_per_line"]
    return Stage(
        name="PersonaLLM",
        speed=StageSpeed(full["lines_per_cpu_s"], fixed_step_share(step_alone, step_full, batch)),
        unit="lines",
        units_per_line=1.0,
        num_slots=batch,
        first_piece_s=step_full,
        vcpus=1,
        source="persona.json",
    )


def _s1_steps() -> tuple[float, float]:
    """Seconds of a decoding step: what any batch takes, and what each sequence adds."""
    alone = _row("s1", batch=1, contender="decoder bfloat16")["step_ms"] / 1e3
    full = _row("s1", batch=_S1_SLOTS, contender="decoder bfloat16")["step_ms"] / 1e3
    per_sequence = (full - alone) / (_S1_SLOTS - 1)
    return alone - per_sequence, per_sequence


def _s1(num_slots: int) -> Stage:
    fixed_s, per_sequence_s = _s1_steps()
    step_s = fixed_s + per_sequence_s * num_slots
    return Stage(
        name="SemanticDecoder",
        speed=StageSpeed(num_slots / step_s / TOKENS_PER_AUDIO_S, fixed_s / step_s),
        unit="audio s",
        units_per_line=AUDIO_S_PER_LINE,
        num_slots=num_slots,
        first_piece_s=FIRST_SEGMENT_S * TOKENS_PER_AUDIO_S * step_s,
        vcpus=2,
        source="s1.json",
    )


def _s2() -> Stage:
    streamed = _row("s2_cpu", audio_s=5.0, decode="prepared bfloat16, streamed")
    first = _row("s2_cpu", audio_s=5.0, decode="prepared bfloat16, first chunk")
    return Stage(
        name="Vocoder",
        # One segment keeps the thread busy, so a batch brings nothing: see StageSpeed.
        speed=StageSpeed(1 / streamed["real_time_factor"], fixed_step_share=0.0),
        unit="audio s",
        units_per_line=AUDIO_S_PER_LINE,
        num_slots=1,
        first_piece_s=first["median_s"],
        vcpus=1,
        source="s2_cpu.json",
    )


@dataclass(frozen=True)
class Gpu:
    """A GPU by its data sheet (dense bfloat16), and an assumed price."""

    name: str
    memory_gb: float
    gb_per_s: float
    tflops: float
    usd_per_hour: float


GPUS = (
    Gpu("L4", 24, 300, 121, 0.75),
    Gpu("A100 80GB", 80, 2039, 312, 3.0),
    Gpu("H100 SXM", 80, 3350, 989, 5.0),
)


@dataclass(frozen=True)
class LanguageModel:
    """What a decoding step reads of the persona's model on GPUs, in bfloat16."""

    name: str
    weight_gb: float
    kv_kb_per_position: float
    positions: int
    tokens_per_line: int


EEVE = LanguageModel("EEVE-Korean-Instruct-10.8B", 21.6, 196.6, 800, 40)
"""48 layers with 8 key-value heads of 128."""


def gpu_s1_audio_s_per_s(gpu: Gpu, batch: int = 64) -> float:
    """Estimate: a step reads all weights and every sequence's cache, or waits for its launches."""
    work = _row("work", stage="s1")
    kv_gb = _POSITIONS * float(work["kv_kb_per_position"]) / 1e6
    read_gb = float(work["weight_mb"]) / 1e3 + batch * kv_gb
    step_s = max(_S1_LAUNCHES_S, read_gb / (gpu.gb_per_s * _EFFICIENCY_OF_MEMORY))
    return batch / step_s / TOKENS_PER_AUDIO_S


def gpu_s2_audio_s_per_s(gpu: Gpu) -> float:
    """Estimate: operations of a second of audio, at a tenth of the peak."""
    gflop_per_s = gpu.tflops * 1e3 * _EFFICIENCY_OF_ARITHMETIC
    return gflop_per_s / float(_row("work", stage="s2")["gflop_per_audio_s"])


def gpu_lines_per_s(gpu: Gpu, model: LanguageModel = EEVE) -> float:
    """Estimate: as S1, with the batch that fits beside the weights, 64 at most; 0 if none does."""
    kv_gb = model.positions * model.kv_kb_per_position / 1e6
    free_gb = 0.9 * gpu.memory_gb - model.weight_gb
    batch = min(64, math.floor(free_gb / kv_gb))
    if batch < 1:
        return 0.0
    read_gb = model.weight_gb + batch * kv_gb
    step_s = read_gb / (gpu.gb_per_s * _EFFICIENCY_OF_MEMORY)
    return batch / step_s / model.tokens_per_line


def replicas_for(streams: float, stage: Stage) -> int:
    """Replicas that `streams` people need who listen all the time."""
    lines_per_s = streams / AUDIO_S_PER_LINE
    return max(1, math.ceil(lines_per_s / (stage.lines_per_s * TARGET_USE)))


def usd_per_audio_hour(stage: Stage) -> float:
    """What a stage costs for an hour of speech, at the use that is aimed at."""
    lines_per_hour = 3600 * stage.lines_per_s * TARGET_USE
    return stage.usd_per_hour / (lines_per_hour * AUDIO_S_PER_LINE / 3600)


def stages_table() -> str:
    """What a replica was measured to do."""
    rows = []
    for stage in cpu_stages().values():
        audio_s_per_s = stage.lines_per_s * AUDIO_S_PER_LINE
        rows.append(
            {
                "stage": f"`{stage.name}`",
                "replica": f"{stage.vcpus} vCPU, {stage.num_slots} at once",
                "full rate": f"{stage.speed.full_rate_per_s:.2f} {stage.unit}/s",
                "fixed step share": f"{stage.speed.fixed_step_share:.2f}",
                "streams a replica": f"{TARGET_USE * audio_s_per_s:.1f}",
                "$ an hour of speech": f"{usd_per_audio_hour(stage):.4f}",
                "measured in": f"[{stage.source}](../benchmarks/results/{stage.source})",
            }
        )
    return markdown_table(rows)


def growth_table() -> str:
    """Machines for ever more listeners, on CPU cores alone."""
    stages = cpu_stages()
    rows = []
    for streams in (10, 1_000, 100_000):
        counts = {name: replicas_for(streams, stage) for name, stage in stages.items()}
        vcpus = sum(counts[name] * stage.vcpus for name, stage in stages.items())
        rows.append(
            {
                "streams at once": f"{streams:,}",
                **{f"`{name}`": f"{count:,}" for name, count in counts.items()},
                "vCPUs": f"{vcpus:,}",
                "$ an hour": f"{vcpus * USD_PER_VCPU_HOUR:,.2f}",
                "$ an hour of speech": f"{vcpus * USD_PER_VCPU_HOUR / streams:.4f}",
            }
        )
    return markdown_table(rows)


def gpu_table() -> str:
    """Estimates of what one GPU does when it does one stage alone."""
    rows = []
    for gpu in GPUS:
        s1, s2, lines = gpu_s1_audio_s_per_s(gpu), gpu_s2_audio_s_per_s(gpu), gpu_lines_per_s(gpu)
        # Seconds of GPU for a second of speech; a line is AUDIO_S_PER_LINE of them.
        speech_s = 1 / s1 + 1 / s2
        both_s = speech_s + 1 / (lines * AUDIO_S_PER_LINE) if lines else math.inf
        rows.append(
            {
                "GPU (estimate)": gpu.name,
                "S1 audio s/s": f"{s1:.0f}",
                "S2 audio s/s": f"{s2:.0f}",
                "streams of speech": f"{TARGET_USE / speech_s:.0f}",
                "lines/s of EEVE": f"{lines:.1f}" if lines else "does not fit",
                "streams with persona": f"{TARGET_USE / both_s:.0f}",
                "$ an hour (assumed)": f"{gpu.usd_per_hour:.2f}",
                "$ an hour of speech": _usd(gpu.usd_per_hour * speech_s / TARGET_USE),
                "with persona": _usd(gpu.usd_per_hour * both_s / TARGET_USE),
            }
        )
    return markdown_table(rows)


def _usd(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"


def voices_table(running: int = 32) -> str:
    """What becomes of S1's speed when the sequences of a replica belong to several checkpoints."""
    fixed_s, per_sequence_s = _s1_steps()
    shared = running / (fixed_s + per_sequence_s * running) / TOKENS_PER_AUDIO_S
    rows = []
    for groups in (1, 2, 4, 8, 16, 32):
        # Groups take turns: each pays the fixed part of a step for its own few sequences.
        turn_s = groups * fixed_s + per_sequence_s * running
        audio_s_per_s = running / turn_s / TOKENS_PER_AUDIO_S
        rows.append(
            {
                "checkpoints in use": groups,
                "S1 audio s/s of a replica": audio_s_per_s,
                "share of one checkpoint's": f"{audio_s_per_s / shared:.0%}",
                "weights in memory (S1 and S2, bfloat16)": f"{groups * _weights_mb():.0f} MB",
            }
        )
    return markdown_table(rows)


def _weights_mb() -> float:
    return sum(float(row["weight_mb"]) for row in rows_of("work"))


def policy_table() -> str:
    """What `StagePolicy` is told about each stage."""
    backlogs = {
        "PersonaLLM": "waiting",
        "SemanticDecoder": "waiting_audio_s",
        "Vocoder": "queued_audio_s",
    }
    return markdown_table(
        [
            {
                "stage": f"`{stage.name}`",
                "backlog": f"`{backlogs[stage.name]}`",
                "full_rate_per_s": stage.speed.full_rate_per_s,
                "fixed_step_share": stage.speed.fixed_step_share,
                "backlog_per_request": stage.units_per_line,
            }
            for stage in cpu_stages().values()
        ]
    )


TABLES: Mapping[str, Callable[[], str]] = {
    "stages": stages_table,
    "growth": growth_table,
    "gpu": gpu_table,
    "voices": voices_table,
    "policy": policy_table,
}


def filled(page: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """The page with every `<!-- table: name -->` … `<!-- end -->` filled anew."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{tables[match[2]]()}\n\n<!-- end -->"

    return re.sub(r"(<!-- table: (\w+) -->).*?<!-- end -->", table, page, flags=re.DOTALL)


def table_names(page: str) -> Sequence[str]:
    """Tables that a page asks for."""
    return re.findall(r"<!-- table: (\w+) -->", page)


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
