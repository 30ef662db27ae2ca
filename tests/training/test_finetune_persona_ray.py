"""Ray Train replaces a worker that was killed, and the adapter is the one that would have been."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from tests.training.persona_runs import make_task
from training.loops.journal import read_metrics
from training.loops.persona import launch
from training.loops.persona.launch import Task, run_locally, run_on_ray
from training.loops.persona.run import WEIGHTS_NAME
from training.loops.persona.trainer import Watcher
from training.loops.strict import ConfigError
from training.loops.workers import check_resources

pytestmark = [
    pytest.mark.ray,
    # Ray Train copies all settings of Ray Data, those it has deprecated itself among them.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\."),
    # peft asks transformers by a name that transformers has deprecated.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def die_once(config: dict[str, Any]) -> None:
    """A worker that is killed after its fifth update, once."""
    marker = Path(config["out"]) / "killed"
    on_step_end = Watcher.on_step_end

    def mortal(self: Watcher, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 5 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        on_step_end(self, args, state, control, **kwargs)

    Watcher.on_step_end = mortal  # type: ignore[method-assign]
    launch.train_worker(config)


def weights(task: Task) -> bytes:
    return (task.out / "export" / WEIGHTS_NAME).read_bytes()


def test_adapter_of_a_killed_worker_equals_one_without_ray(tmp_path: Path) -> None:
    killed, alone = make_task(tmp_path, "killed"), make_task(tmp_path, "alone")

    assert run_on_ray(killed, die_once)
    assert run_locally(alone)

    assert (killed.out / "killed").exists()
    assert read_metrics(killed.out, "train") == read_metrics(alone.out, "train")
    assert weights(killed) == weights(alone)


def test_more_workers_than_the_machine_has_room_for_are_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path, num_workers=9)

    with pytest.raises(ConfigError, match=r"9 workers want 4\.5 CPU"):
        check_resources(task.args, {"CPU": 2.0})
