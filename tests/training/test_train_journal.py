"""What a run tells can be read, heard and seen, and is never told twice."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.loops import journal as journal_module
from training.loops.journal import Journal, read_metrics


def test_values_are_averaged_over_the_updates_that_told_them(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0, 4, None, io.StringIO())
    for update in range(4):
        late = {"discriminator": 8.0} if update == 3 else {}
        journal.training(update, 0, {"mel": float(update)} | late)
    journal.close()
    (entry,) = read_metrics(tmp_path, "train")
    assert entry == {"update": 3, "epoch": 0, "mel": 1.5, "discriminator": 8.0}


def test_a_journal_forgets_what_its_run_will_do_again(tmp_path: Path) -> None:
    first = Journal(tmp_path, 0, 1, None, io.StringIO())
    for update in range(5):
        first.training(update, 0, {"mel": 1.0})
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "upd')  # what a killed run may leave
    second = Journal(tmp_path, 3, 1, None, io.StringIO())
    second.training(3, 0, {"mel": 2.0})
    second.close()
    told = [(entry["update"], entry["mel"]) for entry in read_metrics(tmp_path, "train")]
    assert told == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0)]


def test_tensorboard_has_curves_sound_and_pictures(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0, 1, None, io.StringIO())
    journal.training(0, 0, {"mel": 1.0, "lr": 0.5})
    journal.validation(0, {"mel_from_tokens": 2.0})
    journal.audio(0, "clip_0/from_tokens", torch.zeros(3200), 32_000)
    journal.image(0, "clip_0/from_tokens", torch.rand(128, 5))
    journal.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    scalars = {"train/epoch", "train/mel", "train/lr", "validation/mel_from_tokens"}
    assert set(events.Tags()["scalars"]) == scalars
    assert events.Audio("clip_0/from_tokens")[0].sample_rate == 32_000
    picture = events.Images("clip_0/from_tokens")[0]
    assert (picture.height, picture.width) == (128, 5)


def test_without_a_terminal_a_run_speaks_in_lines(tmp_path: Path) -> None:
    lines = io.StringIO()
    journal = Journal(tmp_path, 0, 2, 4, lines)
    for update in range(4):
        journal.training(update, 0, {"mel": 1.0})
    journal.close()
    assert [line.split()[:2] for line in lines.getvalue().splitlines()] == [
        ["update", "2"],
        ["update", "4"],
    ]


def test_a_line_is_not_printed_which_ray_train_would_show_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its workers `print` writes to the terminal, and to a log that is shown there too."""
    monkeypatch.setattr(journal_module, "print", print_twice, raising=False)
    journal = Journal(tmp_path, 0, 1, None)
    journal.say("finished")
    journal.close()
    assert capsys.readouterr().out == "finished\n"


def print_twice(line: str, **options: Any) -> None:
    print(line)
    print(line)


def test_at_a_terminal_a_run_has_a_bar(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    journal = Journal(tmp_path, 0, 1, 4, terminal)
    journal.training(0, 0, {"mel": 1.0})
    journal.close()
    assert "/4 [" in terminal.getvalue()
    assert "update 1 epoch 1 mel 1" in terminal.getvalue()
