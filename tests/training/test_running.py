"""What surrounds every run: its folder, its terminal, and the record of what it is of."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import ray

from training.loops.identity import require_same_run
from training.loops.running import ask_only, only_run
from training.loops.strict import ConfigError

CLEANER = "ray.train.v2._internal.execution.controller.placement_group_cleaner"
COMPLAINT = "Failed to query Ray Train Controller actor state. "


def test_folder_is_free_again_when_its_run_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with only_run(folder), pytest.raises(ConfigError, match="another run is writing to"):
        only_run(folder).__enter__()
    with only_run(folder):
        assert folder.is_dir()


def test_the_cleaner_asks_its_own_cluster_and_is_silent_about_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.8:6379")
    logger = logging.getLogger(CLEANER)
    ask_only("192.0.2.7:6379")
    try:
        logger.warning(f"{COMPLAINT}State API may be temporarily unavailable.")
        logger.warning("Failed to clean up placement group: lost")
    finally:
        logger.filters.clear()
    assert os.environ["RAY_ADDRESS"] == "192.0.2.7:6379"
    assert caplog.messages == ["Failed to clean up placement group: lost"]


def test_warning_that_is_dropped_is_the_one_that_ray_train_gives() -> None:
    source = (Path(ray.__file__).parents[1] / f"{CLEANER.replace('.', '/')}.py").read_text()
    assert "logger = logging.getLogger(__name__)" in source
    assert f'"{COMPLAINT}"' in source


def test_run_that_has_learned_something_stays_what_it_is(tmp_path: Path) -> None:
    require_same_run(tmp_path, {"rows": "5 of sha256 a"})
    require_same_run(tmp_path, {"rows": "6 of sha256 b"})  # nothing has been learned
    (tmp_path / "checkpoints" / "checkpoint-1").mkdir(parents=True)

    require_same_run(tmp_path, {"rows": "6 of sha256 b"})
    with pytest.raises(ConfigError, match="begun with rows 6 of sha256 b, not 5 of sha256 a"):
        require_same_run(tmp_path, {"rows": "5 of sha256 a"})


def test_what_an_older_record_does_not_say_is_not_added_by_who_comes_next(tmp_path: Path) -> None:
    require_same_run(tmp_path, {"tokenizer": "a"})
    (tmp_path / "last").mkdir()
    require_same_run(tmp_path, {"tokenizer": "a", "networks": "of 5 numbers"})  # perhaps wrong
    require_same_run(tmp_path, {"tokenizer": "a", "networks": "of 6 numbers"})


def test_run_from_before_runs_were_recorded_is_gone_on_with_and_recorded(tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    require_same_run(tmp_path, {"tokenizer": "a"})
    with pytest.raises(ConfigError, match="tokenizer"):
        require_same_run(tmp_path, {"tokenizer": "b"})
