"""Trains S1, text to semantic tokens, on a prepared corpus.

    python -m training.train_s1 --config training/configs/train_s1.yaml --data PREPARED --out RUN
    python -m training.train_s1 ... --local      one worker in this process, without Ray
    ray job submit --working-dir . -- python -m training.train_s1 ...      on a cluster

The same line goes on where the run stands; SIGTERM stops it after a checkpoint. In RUN:

    checkpoints/        what a run goes on from
    tensorboard/, metrics.jsonl
    best/, last/        s1.json + .safetensors in full precision: bases for fine-tuning
    export/             the same for publishing
"""

from __future__ import annotations

from pathlib import Path

from training.data.prepared import read_prepared
from training.loops.launch import Job, main
from training.loops.s1.args import S1Args
from training.loops.s1.stage import S1Stage
from training.loops.s1.timings import TIMINGS, read_timings
from training.loops.world import World


def make_stage(args: S1Args, data: Path, world: World) -> S1Stage:
    """The network and a prepared folder's clips."""
    has_timings = args.guided_attention.has_timings
    timings = read_timings(data / TIMINGS) if has_timings else None
    return S1Stage(args, read_prepared(data), world, timings)


JOB = Job("training.train_s1", S1Args, make_stage)

if __name__ == "__main__":
    main(JOB)
