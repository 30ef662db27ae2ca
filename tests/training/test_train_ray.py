"""Ray Train replaces a worker that was killed, and the run is the one that would have been."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray._common.test_utils import wait_for_condition

from tests.training.test_train_s1 import AUGMENTED, CLIPS, args_with, losses_of
from tests.training.train_clips import write_tokenizer
from training.loops.journal import read_metrics
from training.loops.launch import Job, run_on_ray
from training.loops.loop import Update, train
from training.loops.running import only_run
from training.loops.s1.args import S1Args
from training.loops.s1.data import S1TrainingBatch
from training.loops.s1.stage import S1Stage
from training.loops.strict import ConfigError
from training.loops.workers import STOP, check_resources
from training.loops.world import World

pytestmark = [
    pytest.mark.ray,
    # Ray Train copies all settings of Ray Data, those it has deprecated itself among them.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\."),
]

ONE_WORKER = args_with(**AUGMENTED, num_cpus_per_worker=0.5, num_threads=1)
TWO_WORKERS = ONE_WORKER.model_copy(update={"num_workers": 2})


@pytest.fixture(autouse=True)
def tokenizer(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def make_stage(args: S1Args, data: Path, world: World) -> S1Stage:
    return S1Stage(args, CLIPS, world)


def make_mortal_stage(args: S1Args, data: Path, world: World) -> S1Stage:
    """The last worker is killed in its sixth update, once."""
    stage = make_stage(args, data, world)
    update, marker = stage.update, data / "killed"

    def mortal(batches: list[S1TrainingBatch], number: int, epoch: int) -> Update:
        if number == 5 and world.rank == world.size - 1 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return update(batches, number, epoch)

    stage.update = mortal  # type: ignore[method-assign]
    return stage


def test_a_run_whose_worker_was_killed_equals_one_without_ray(tmp_path: Path) -> None:
    killed, alone = tmp_path / "run", tmp_path / "alone"
    run_on_ray(Job("tests", S1Args, make_mortal_stage), ONE_WORKER, tmp_path, killed)
    train(make_stage(ONE_WORKER, tmp_path, World()), ONE_WORKER, alone)
    assert (tmp_path / "killed").exists()
    assert len(losses_of(killed)) == 8
    assert losses_of(killed) == losses_of(alone)
    assert read_metrics(killed, "validation") == read_metrics(alone, "validation")


def make_interrupted_stage(args: S1Args, data: Path, world: World) -> S1Stage:
    """Ctrl-C is pressed in the fourth update, where the driver runs whose number is in `data`."""
    stage = make_stage(args, data, world)
    update = stage.update

    def interrupted(batches: list[S1TrainingBatch], number: int, epoch: int) -> Update:
        if number == 3:
            os.kill(int((data / "driver").read_text()), signal.SIGINT)
            wait_for_condition((data / "run" / STOP).exists, timeout=120)
        return update(batches, number, epoch)

    stage.update = interrupted  # type: ignore[method-assign]
    return stage


def test_ctrl_c_ends_a_run_after_the_update_it_is_in(tmp_path: Path) -> None:
    (tmp_path / "driver").write_text(str(os.getpid()))
    run_on_ray(Job("tests", S1Args, make_interrupted_stage), ONE_WORKER, tmp_path, tmp_path / "run")
    assert len(losses_of(tmp_path / "run")) == 4
    assert (tmp_path / "run" / "export" / "s1.json").exists()


def test_a_second_driver_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (
        only_run(tmp_path / "run"),
        pytest.raises(ConfigError, match="another run is writing to"),
    ):
        run_on_ray(Job("tests", S1Args, make_stage), ONE_WORKER, tmp_path, tmp_path / "run")


@pytest.mark.slow  # two more starts of Ray Train
def test_two_workers_of_which_one_was_killed_equal_two_and_are_near_one(tmp_path: Path) -> None:
    killed, alive, alone = (tmp_path / name for name in ("run", "alive", "alone"))
    run_on_ray(Job("tests", S1Args, make_mortal_stage), TWO_WORKERS, tmp_path, killed)
    run_on_ray(Job("tests", S1Args, make_stage), TWO_WORKERS, tmp_path, alive)
    train(make_stage(ONE_WORKER, tmp_path, World()), ONE_WORKER, alone)
    assert (tmp_path / "killed").exists()
    assert losses_of(killed) == losses_of(alive)
    # Sums of two halves are rounded otherwise than one sum, and Adam enlarges what is small.
    assert losses_of(alive) == pytest.approx(losses_of(alone), rel=1e-3)


def test_more_workers_than_the_machine_has_room_for_are_refused() -> None:
    with pytest.raises(ConfigError, match="8 workers want 4 CPU; this machine has 2"):
        check_resources(ONE_WORKER.model_copy(update={"num_workers": 8}), {"CPU": 2.0})
