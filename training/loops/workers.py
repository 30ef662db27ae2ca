"""The workers of a run: one in this process, or any number on a Ray cluster.

Both work on the same folder, so a run begun one way can go on the other way. All workers must reach
it: checkpoints are files in it, not copies that Ray makes, and a worker group that Ray restarts
after a loss finds the newest there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from training.loops.args import WorkersArgs
from training.loops.running import on_termination, tame_cleaner
from training.loops.strict import ConfigError
from training.loops.world import World

STOP = "STOP"
"""The driver asks its workers to stop by this file; they look for it after every update."""

Worker = Callable[[dict[str, Any]], None]


def local_world(args: WorkersArgs) -> World:
    """The only worker, in this process.

    Raises:
        ConfigError: the run needs several workers, or a GPU that is not here.
    """
    if args.num_workers != 1:
        raise ConfigError(f"num_workers is {args.num_workers}; without Ray there is one worker")
    if args.use_gpu and not torch.cuda.is_available():
        raise ConfigError("use_gpu is true, but PyTorch finds no GPU here")
    _set_threads(args)
    return World(device=torch.device("cuda" if args.use_gpu else "cpu"))


def ray_world(args: WorkersArgs) -> World:
    """The worker of Ray Train that this process is."""
    from ray.train.torch import get_device

    _set_threads(args)
    device = get_device() if args.use_gpu else torch.device("cpu")
    assert isinstance(device, torch.device)  # one to a worker, as asked for
    return World.of_process_group(device)


def fit_on_ray(args: WorkersArgs, out: Path, worker: Worker, config: dict[str, Any]) -> None:
    """Let workers train on the cluster this job was submitted to, or on one of its own here.

    Args:
        args: how many workers, and what each is given.
        out: folder of the run; SIGTERM and Ctrl-C put `STOP` there.
        worker: runs in each worker.
        config: its argument.

    Raises:
        ConfigError: this machine has not what the workers are to be given.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    (out / STOP).unlink(missing_ok=True)
    with _cluster(args), on_termination((out / STOP).touch):
        trainer = TorchTrainer(
            worker,
            train_loop_config=config,
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
        _in_a_thread(trainer.fit)


@contextmanager
def _cluster(args: WorkersArgs) -> Iterator[None]:
    """One of its own ends with the run."""
    import ray

    if "RAY_ADDRESS" in os.environ or ray.is_initialized():
        yield
        return
    ray.init(
        address="local",
        include_dashboard=False,
        runtime_env={"worker_process_setup_hook": tame_cleaner},
    )
    try:
        check_resources(args, ray.cluster_resources())
        yield
    finally:
        ray.shutdown()


def check_resources(args: WorkersArgs, available: dict[str, float]) -> None:
    """A cluster of one machine does not grow: what it lacks would be waited for without end."""
    wanted = {"CPU": args.num_cpus_per_worker, "GPU": 1.0 if args.use_gpu else 0.0}
    for name, each in wanted.items():
        if each * args.num_workers > available.get(name, 0.0):
            raise ConfigError(
                f"{args.num_workers} workers want {each * args.num_workers:g} {name}; "
                f"this machine has {available.get(name, 0.0):g}"
            )


def _in_a_thread(call: Callable[[], object]) -> None:
    """Called in the main one, Ray Train takes Ctrl-C for itself and kills the workers at once."""
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    outcome.result()


def _set_threads(args: WorkersArgs) -> None:
    if args.num_threads is not None:
        torch.set_num_threads(args.num_threads)
