"""Starts a fine-tuning: in this process, or on a Ray cluster with any number of workers.

Both call the same ``fine_tune`` on the same folder, which all workers must reach, so a run begun
one way can go on the other way. Workers that Ray restarts after a loss find the newest checkpoint
there. SIGTERM and Ctrl-C end a run after the update it is in, with a checkpoint.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.loops.persona.args import PersonaArgs
from training.loops.persona.base import Base
from training.loops.persona.export import export
from training.loops.persona.run import Material, fine_tune
from training.loops.strict import ConfigError
from training.loops.world import World
from training.persona.character import Character

# The driver asks its workers to stop by this file; they look for it after every update.
_STOP = "STOP"
_DONE = "DONE"

Worker = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Task:
    """Whom to train, on what, and where the run's files are; the paths are absolute."""

    args: PersonaArgs
    character: Character
    data: Path
    out: Path

    def material(self) -> Material:
        """The checked rows; see `Material.read`."""
        return Material.read(self.args, self.character, self.data)

    def base(self) -> Base:
        """The base model; see `Base.named`."""
        return Base.named(self.args.base_model, self.args.base_revision)

    @property
    def is_done(self) -> bool:
        """Whether the run has ended and its export is whole."""
        return (self.out / _DONE).exists()


def run_locally(task: Task) -> bool:
    """Train in this process; True when the run is finished, False when it was stopped.

    Raises:
        ConfigError: it needs several workers or a GPU that is not here, or another run is at it.
    """
    args = task.args
    if args.num_workers != 1:
        raise ConfigError(f"num_workers is {args.num_workers}; without Ray there is one worker")
    if args.use_gpu and not torch.cuda.is_available():
        raise ConfigError("use_gpu is true, but PyTorch finds no GPU here")
    world = World(device=torch.device("cuda" if args.use_gpu else "cpu"))
    stop = threading.Event()
    with _only_run(task.out), _on_termination(stop.set):
        return _train(task, world, stop.is_set, None)


def run_on_ray(task: Task, worker: Worker | None = None) -> bool:
    """Train on the cluster this job was submitted to, or on one of its own on this machine.

    Args:
        worker: runs in each worker instead of `train_worker`, which it has to call.

    Returns:
        True when the run is finished, False when it was stopped.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    args = task.args
    task.material()  # faults of the rows show here, and not once for every restart of the workers
    task.out.mkdir(parents=True, exist_ok=True)
    (task.out / _STOP).unlink(missing_ok=True)
    is_ours = "RAY_ADDRESS" not in os.environ and not ray.is_initialized()
    if is_ours:
        ray.init(address="local", include_dashboard=False)
    try:
        if is_ours:
            check_resources(args, ray.cluster_resources())
        trainer = TorchTrainer(
            worker or train_worker,
            train_loop_config={
                "args": args.model_dump(mode="json"),
                "character": task.character.fields,
                "data": str(task.data),
                "out": str(task.out),
            },
            scaling_config=ScalingConfig(
                num_workers=args.num_workers,
                use_gpu=args.use_gpu,
                resources_per_worker={"CPU": args.num_cpus_per_worker}
                | ({"GPU": 1} if args.use_gpu else {}),
            ),
            run_config=RunConfig(
                name=task.out.name,
                storage_path=str(task.out / "ray"),
                failure_config=FailureConfig(max_failures=args.max_failures),
            ),
        )
        with _on_termination((task.out / _STOP).touch):
            trainer.fit()
    finally:
        if is_ours:
            ray.shutdown()
    return task.is_done


def train_worker(config: dict[str, Any]) -> None:
    """A worker of Ray Train; it goes on from the run's newest checkpoint, whoever wrote it."""
    import ray.train
    from ray.train.torch import get_device

    task = Task(
        PersonaArgs.model_validate(config["args"]),
        Character(config["character"]),
        Path(config["data"]),
        Path(config["out"]),
    )
    device = get_device() if task.args.use_gpu else torch.device("cpu")
    assert isinstance(device, torch.device)  # one to a worker, as asked for
    world = World.of_process_group(device)
    _train(task, world, (task.out / _STOP).exists, ray.train.report)


def _train(
    task: Task,
    world: World,
    should_stop: Callable[[], bool],
    report: Callable[[dict[str, float]], None] | None,
) -> bool:
    """Train unless that is done; then the first worker measures and exports."""
    if task.is_done:
        return True
    if task.args.num_threads is not None:
        torch.set_num_threads(task.args.num_threads)
    material, base = task.material(), task.base()
    if not fine_tune(task.args, material, base, task.out, world, should_stop, report):
        return False
    if world.is_first:
        export(task.args, material, base, task.out, world.device)
        (task.out / _DONE).touch()
    return True


def check_resources(args: PersonaArgs, available: dict[str, float]) -> None:
    """A cluster of one machine does not grow: what it lacks would be waited for without end."""
    wanted = {"CPU": args.num_cpus_per_worker, "GPU": 1.0 if args.use_gpu else 0.0}
    for name, each in wanted.items():
        if each * args.num_workers > available.get(name, 0.0):
            raise ConfigError(
                f"{args.num_workers} workers want {each * args.num_workers:g} {name}; "
                f"this machine has {available.get(name, 0.0):g}"
            )


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
