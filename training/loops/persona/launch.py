"""Starts a fine-tuning: in this process, or on a Ray cluster with any number of workers.

Both call the same ``fine_tune`` on the same folder. SIGTERM and Ctrl-C end a run after the update
it is in, with a checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.loops.identity import require_same_run
from training.loops.persona.args import PersonaArgs
from training.loops.persona.base import Base
from training.loops.persona.export import export
from training.loops.persona.run import Material, fine_tune
from training.loops.running import on_termination, only_run
from training.loops.workers import STOP, Worker, fit_on_ray, local_world, ray_world
from training.loops.world import World
from training.persona.character import Character

_DONE = "DONE"


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
        ConfigError: it needs several workers or a GPU that is not here, another run is at it, or
            the folder's run is of something else.
    """
    world = local_world(task.args)
    stop = threading.Event()
    with only_run(task.out), on_termination(stop.set):
        require_same_run(task.out, task.material().facts(task.args))
        return _train(task, world, stop.is_set, None)


def run_on_ray(task: Task, worker: Worker | None = None) -> bool:
    """Train on the cluster this job was submitted to, or on one of its own on this machine.

    Args:
        worker: runs in each worker instead of `train_worker`, which it has to call.

    Returns:
        True when the run is finished, False when it was stopped.

    Raises:
        ConfigError: there is no room for the workers, another run is at it, or the folder's run is
            of something else.
    """
    with only_run(task.out):
        # Faults of the rows show here, and not once for every restart of the workers.
        require_same_run(task.out, task.material().facts(task.args))
        config = {
            "args": task.args.model_dump(mode="json"),
            "character": task.character.fields,
            "data": str(task.data),
            "out": str(task.out),
        }
        if not task.is_done:
            fit_on_ray(task.args, task.out, worker or train_worker, config)
    return task.is_done


def train_worker(config: dict[str, Any]) -> None:
    """A worker of Ray Train; it goes on from the run's newest checkpoint, whoever wrote it."""
    import ray.train

    task = Task(
        PersonaArgs.model_validate(config["args"]),
        Character(config["character"]),
        Path(config["data"]),
        Path(config["out"]),
    )
    _train(task, ray_world(task.args), (task.out / STOP).exists, ray.train.report)


def _train(
    task: Task,
    world: World,
    should_stop: Callable[[], bool],
    report: Callable[[dict[str, float]], None] | None,
) -> bool:
    """Train unless that is done; then the first worker measures and exports."""
    if task.is_done:
        return True
    material, base = task.material(), task.base()
    if not fine_tune(task.args, material, base, task.out, world, should_stop, report):
        return False
    if world.is_first:
        export(task.args, material, base, task.out, world.device)
        (task.out / _DONE).touch()
    return True
