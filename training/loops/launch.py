"""Starts a run: here in this process, or on a Ray cluster with any number of workers.

Both call the same ``train`` on the same folder, so a run begun one way can go on the other way. The
folder must be one that all workers reach; checkpoints are files in it, not copies that Ray makes,
and a worker group that Ray restarts after a loss finds the newest there. SIGTERM ends a run after
the update it is in, with a checkpoint and exit code 0.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from models.checkpoints import CheckpointError
from training.data.prepared import PreparedError
from training.loops.args import RunArgs
from training.loops.export import export
from training.loops.loop import Stage, train
from training.loops.mixed_precision import NotFiniteError
from training.loops.strict import ConfigError, read_config
from training.loops.world import World

Args = TypeVar("Args", bound=RunArgs)

# The driver asks its workers to stop by this file; they look for it after every update.
_STOP = "STOP"
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
    if args.num_workers != 1:
        raise ConfigError(f"num_workers is {args.num_workers}; without Ray there is one worker")
    if args.use_gpu and not torch.cuda.is_available():
        raise ConfigError("use_gpu is true, but PyTorch finds no GPU here")
    device = torch.device("cuda" if args.use_gpu else "cpu")
    _set_threads(args)
    stop = threading.Event()
    with _only_run(out), _on_termination(stop.set):
        return train(
            job.make_stage(args, data, World(device=device)),
            args,
            out,
            World(device=device),
            stop.is_set,
        )


def run_on_ray(job: Job[Args], args: Args, data: Path, out: Path) -> None:
    """Train on the cluster this job was submitted to, or on one of its own on this machine."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    # Faults of data and configuration show here, and not once for every restart of the workers.
    # This process may have no GPU, so not in half precision.
    job.make_stage(args.model_copy(update={"precision": "fp32"}), data, World())
    out.mkdir(parents=True, exist_ok=True)
    (out / _STOP).unlink(missing_ok=True)
    is_ours = "RAY_ADDRESS" not in os.environ and not ray.is_initialized()
    if is_ours:
        ray.init(address="local", include_dashboard=False)
    try:
        if is_ours:
            check_resources(args, ray.cluster_resources())
        trainer = TorchTrainer(
            _train_worker,
            train_loop_config={
                "job": job,
                "args": args.model_dump(mode="json"),
                "data": str(data),
                "out": str(out),
            },
            scaling_config=ScalingConfig(
                num_workers=args.num_workers,
                use_gpu=args.use_gpu,
                resources_per_worker={"CPU": args.num_cpus_per_worker}
                | ({"GPU": 1} if args.use_gpu else {}),
            ),
            run_config=RunConfig(
                name=out.name,
                storage_path=str(out / "ray"),
                failure_config=FailureConfig(max_failures=args.max_failures),
            ),
        )
        with _on_termination((out / _STOP).touch):
            trainer.fit()
    finally:
        if is_ours:
            ray.shutdown()


def check_resources(args: RunArgs, available: dict[str, float]) -> None:
    """A cluster of one machine does not grow: what it lacks would be waited for without end."""
    wanted = {"CPU": args.num_cpus_per_worker, "GPU": 1.0 if args.use_gpu else 0.0}
    for name, each in wanted.items():
        if each * args.num_workers > available.get(name, 0.0):
            raise ConfigError(
                f"{args.num_workers} workers want {each * args.num_workers:g} {name}; "
                f"this machine has {available.get(name, 0.0):g}"
            )


def _train_worker(config: dict[str, Any]) -> None:
    """A worker of Ray Train; it goes on from the run's newest checkpoint, whoever wrote it."""
    import ray.train
    from ray.train.torch import get_device

    job: Job[Any] = config["job"]
    args = job.args_type.model_validate(config["args"])
    _set_threads(args)
    device = get_device() if args.use_gpu else torch.device("cpu")
    assert isinstance(device, torch.device)  # one to a worker, as asked for
    world = World.of_process_group(device)
    out = Path(config["out"])
    train(
        job.make_stage(args, Path(config["data"]), world),
        args,
        out,
        world,
        (out / _STOP).exists,
        ray.train.report,
    )


def _set_threads(args: RunArgs) -> None:
    if args.num_threads is not None:
        torch.set_num_threads(args.num_threads)


@contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Two processes in one run's folder would undo each other's work."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another run is writing to {folder}") from None
        yield


@contextmanager
def _on_termination(call: Callable[[], None]) -> Iterator[None]:
    """Call instead of dying, on SIGTERM and Ctrl-C; a second Ctrl-C ends the process at once."""

    def asked(number: int, frame: object) -> None:
        call()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
