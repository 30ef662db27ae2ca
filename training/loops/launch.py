"""Starts a run: here in this process, or on a Ray cluster with any number of workers.

Both call the same ``train`` on the same folder. SIGTERM and Ctrl-C end a run after the update it is
in, with a checkpoint and exit code 0.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from models.checkpoints import CheckpointError
from training.data.prepared import TOKENIZER, PreparedError
from training.loops.args import RunArgs
from training.loops.export import export
from training.loops.identity import require_same_run
from training.loops.loop import Stage, train
from training.loops.mixed_precision import NotFiniteError
from training.loops.running import on_termination, only_run
from training.loops.strict import ConfigError, read_config
from training.loops.workers import STOP, fit_on_ray, local_world, ray_world
from training.loops.world import World

Args = TypeVar("Args", bound=RunArgs)

_FAULTS = (ConfigError, CheckpointError, PreparedError, NotFiniteError)


@dataclass(frozen=True)
class Job(Generic[Args]):
    """A kind of run.

    Attributes:
        module: to start it with ``python -m``.
        args_type: of its configuration.
        make_stage: networks and data, from the configuration, the prepared folder and the worker.
    """

    module: str
    args_type: type[Args]
    make_stage: Callable[[Args, Path, World], Stage[Any]]


def main(job: Job[Args], arguments: list[str] | None = None) -> None:
    """The command line of a job; a configuration or data that cannot be used ends it with why."""
    parser = argparse.ArgumentParser(prog=f"python -m {job.module}")
    parser.add_argument("--config", type=Path, required=True, help="YAML of the run")
    parser.add_argument("--data", type=Path, help="prepared folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--local", action="store_true", help="one worker here, without Ray")
    parser.add_argument(
        "--export-only", action="store_true", help="make RUN/export anew from RUN/best or RUN/last"
    )
    given = parser.parse_args(arguments)
    if given.data is None and not given.export_only:
        parser.error("--data is needed to train")
    try:
        args = read_config(given.config, job.args_type)
        out = given.out.absolute()
        if given.export_only:
            export(out, args.export)
        elif given.local:
            run_locally(job, args, given.data.absolute(), out)
        else:
            run_on_ray(job, args, given.data.absolute(), out)
    except _FAULTS as error:
        sys.exit(f"{job.module}: {error}")


def run_locally(job: Job[Args], args: Args, data: Path, out: Path) -> bool:
    """Train in this process; True when the run is finished, False when it was stopped."""
    world = local_world(args)
    stop = threading.Event()
    with only_run(out), on_termination(stop.set):
        stage = job.make_stage(args, data, world)
        require_same_run(out, _facts(job, data, stage))
        return train(stage, args, out, world, stop.is_set)


def run_on_ray(job: Job[Args], args: Args, data: Path, out: Path) -> None:
    """Train on the cluster this job was submitted to, or on one of its own on this machine."""
    with only_run(out):
        # Faults of data and configuration show here, and not once for every restart of the workers.
        # This process may have no GPU, so not in half precision.
        stage = job.make_stage(args.model_copy(update={"precision": "fp32"}), data, World())
        require_same_run(out, _facts(job, data, stage))
        config = {
            "job": job,
            "args": args.model_dump(mode="json"),
            "data": str(data),
            "out": str(out),
        }
        fit_on_ray(args, out, _train_worker, config)


def _train_worker(config: dict[str, Any]) -> None:
    """A worker of Ray Train; it goes on from the run's newest checkpoint, whoever wrote it."""
    import ray.train

    job: Job[Any] = config["job"]
    args = job.args_type.model_validate(config["args"])
    world = ray_world(args)
    out = Path(config["out"])
    train(
        job.make_stage(args, Path(config["data"]), world),
        args,
        out,
        world,
        (out / STOP).exists,
        ray.train.report,
    )


def _facts(job: Job[Args], data: Path, stage: Stage[Any]) -> dict[str, str]:
    """Other clips may follow in a run; other tokens may not, for each would mean another sound, nor
    networks of another size, into which what was learned does not fit.

    Raises:
        PreparedError: the folder has no tokenizer.
    """
    try:
        tokenizer = (data / TOKENIZER).read_bytes()
    except OSError as error:
        raise PreparedError(f"{data / TOKENIZER} cannot be read: {error.strerror}") from error
    tensors = [
        (network, name, tuple(tensor.shape))
        for network, checkpoint in stage.weights().items()
        for name, tensor in checkpoint.state.items()
    ]
    num_parameters = sum(math.prod(shape) for _, _, shape in tensors)
    shapes = repr(sorted(tensors)).encode()
    return {
        "job": job.module,
        "tokenizer": _digest(tokenizer),
        "networks": f"of {num_parameters:,} numbers (shapes {_digest(shapes)})",
    }


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
