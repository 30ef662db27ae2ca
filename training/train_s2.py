"""Trains S2, semantic tokens to sound, on a prepared corpus.

    python -m training.train_s2 --config training/configs/train_s2.yaml --data PREPARED --out RUN
    python -m training.train_s2 ... --local      one worker in this process, without Ray
    ray job submit --working-dir . -- python -m training.train_s2 ...      on a cluster

The same line goes on where the run stands; SIGTERM stops it after a checkpoint. In RUN:

    checkpoints/        what a run goes on from
    tensorboard/, metrics.jsonl
    best/, last/        s2 and discriminators, .json + .safetensors in full precision: bases
    export/             s2 for publishing, without its posterior encoder
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from training.data.prepared import TOKENIZER, PreparedError, read_prepared
from training.loops.launch import Job, main
from training.loops.s2.args import S2Args
from training.loops.s2.stage import S2Stage
from training.loops.world import World


def make_stage(args: S2Args, data: Path, world: World) -> S2Stage:
    """The networks, and a prepared folder's clips and tokenizer."""
    clips = read_prepared(data)
    try:
        tokenizer = load_file(data / TOKENIZER)
    except (OSError, SafetensorError) as error:
        raise PreparedError(f"{data / TOKENIZER} cannot be read: {error}") from error
    return S2Stage(args, clips, tokenizer, world)


JOB = Job("training.train_s2", S2Args, make_stage)

if __name__ == "__main__":
    main(JOB)
