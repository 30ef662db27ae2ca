"""Real-time factor of S2 at the published size, against a plain eager float32 decode.

    python -m benchmarks.s2                # about four minutes on two cores
    python -m benchmarks.s2 --clock cpu    # CPU seconds: what a busy machine does not distort

Random weights: speed does not depend on them. What was tried and lost is in
``benchmarks/S2_NOTES.md``.
"""

import argparse
import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch

from benchmarks.report import (
    Contender,
    environment,
    markdown_table,
    ratio_of_medians,
    run_alternately,
    write_report,
)
from benchmarks.s2_baseline import decode_plainly
from benchmarks.s2_voice import random_segment, random_voice
from models.gpt_sovits.pipeline import FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES
from models.gpt_sovits.s2.decoding import decode, stream_exact
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer

BASELINE = "eager float32"
CLOCKS = {"wall": perf_counter, "cpu": process_time}


def contenders(
    plain: Synthesizer,
    prepared: dict[str, Synthesizer],
    segment: Segment,
    clock: Callable[[], float],
) -> list[Contender]:
    """The baseline, every prepared voice, and streaming with the fastest of them."""

    def stream() -> object:
        chunks = stream_exact(prepared["bfloat16"], segment, FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES)
        return list(chunks)

    def first_chunk() -> object:
        return next(
            stream_exact(prepared["bfloat16"], segment, FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES)
        )

    runs: dict[str, Callable[[], object]] = {BASELINE: partial(decode_plainly, plain, segment)}
    for dtype, voice in prepared.items():
        runs[f"prepared {dtype}"] = partial(decode, voice, [segment])
    runs["prepared bfloat16, streamed"] = stream
    runs["prepared bfloat16, first chunk"] = first_chunk
    return [Contender(name, partial(_timed, run, clock)) for name, run in runs.items()]


def _timed(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start


def rows_for(
    seconds: float, timed: list[Contender], num_rounds: int
) -> list[dict[str, str | float]]:
    times = run_alternately(timed, num_rounds)
    return [
        {
            "audio_s": seconds,
            "decode": name,
            "median_s": median(measured),
            "fastest_s": min(measured),
            "real_time_factor": median(measured) / seconds,
            "times_faster": ratio_of_medians(times[BASELINE], measured),
        }
        for name, measured in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure S2's real-time factor.")
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 5.0, 15.0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    measured_in: dict[str, Any] = environment() | {"clock": args.clock, "rounds": args.rounds}
    plain = random_voice()
    prepared = {
        "float32": copy.deepcopy(plain).prepare_for_inference(torch.float32),
        "bfloat16": copy.deepcopy(plain).prepare_for_inference(torch.bfloat16),
    }
    rows = []
    for seconds in args.seconds:
        segment = random_segment(plain, seconds)
        timed = contenders(plain, prepared, segment, CLOCKS[args.clock])
        rows += rows_for(seconds, timed, args.rounds)
    name = "s2" if args.clock == "wall" else f"s2_{args.clock}"
    results = {"environment": measured_in, "rows": rows}
    write_report(args.out, name, "S2 decoding, full v2 size", results)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
