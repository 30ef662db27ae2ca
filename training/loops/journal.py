"""What a run tells: TensorBoard, ``metrics.jsonl``, and a line or a bar for who is watching.

Only the first worker has a journal that writes; the others' is silent.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TextIO

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from models.checkpoints.replacing import replacing

_FLUSH_S = 60


class Journal:
    """Writes what a run tells; what was told of ``first_update`` and later is forgotten.

    Args:
        folder: of the run.
        first_update: the first this journal will hear of, 0-based.
        every_updates: training values are averaged over this many updates.
        total: updates in the whole run, for the bar; None when unknown.
        terminal: where lines go, standard output by default; a bar when it is a terminal.
    """

    def __init__(
        self,
        folder: Path,
        first_update: int,
        every_updates: int,
        total: int | None,
        terminal: TextIO | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._metrics_path = folder / "metrics.jsonl"
        _forget_from(self._metrics_path, first_update)
        self._metrics = self._metrics_path.open("a", encoding="utf-8")
        self._writer = SummaryWriter(
            str(folder / "tensorboard"), purge_step=first_update, flush_secs=_FLUSH_S
        )
        self._terminal = terminal or sys.stdout
        self._every_updates = every_updates
        self._told: dict[str, list[float]] = defaultdict(list)
        self._num_told, self._since = 0, time.monotonic()
        self._bar = tqdm(
            total=total,
            initial=first_update,
            file=self._terminal,
            disable=not self._terminal.isatty(),
            unit="update",
        )

    def training(self, update: int, epoch: int, values: dict[str, float]) -> None:
        """Values of a 0-based update that was made."""
        for name, value in values.items():
            self._told[name].append(value)
        self._num_told += 1
        self._bar.update()
        if (update + 1) % self._every_updates:
            return
        # Not all are told from the first update on: discriminators may join later.
        means = {name: sum(values) / len(values) for name, values in self._told.items()}
        seconds = (time.monotonic() - self._since) / self._num_told
        self._write("train", update, {"epoch": epoch, **means})
        self.say(f"update {update + 1} epoch {epoch + 1} {_listed(means)} {seconds:.2f} s/update")
        self._told.clear()
        self._num_told, self._since = 0, time.monotonic()

    def validation(self, update: int, values: dict[str, float]) -> None:
        """Values measured on held-out clips after an update."""
        self._write("validation", update, values)
        self.say(f"validation after update {update + 1}: {_listed(values)}")
        self._since = time.monotonic()

    def audio(self, update: int, name: str, waveform: Tensor, sample_rate: int) -> None:
        """A sample: (samples,) in [-1, 1]."""
        clipped = waveform.float().clamp(-1, 1).unsqueeze(0)
        self._writer.add_audio(name, clipped, update, sample_rate)

    def image(self, update: int, name: str, values: Tensor) -> None:
        """A picture of (row, column) values, lowest row at the bottom, dark to bright."""
        low, high = values.min(), values.max()
        picture = ((values - low) / (high - low).clamp(min=1e-6)).flip(0).unsqueeze(0)
        self._writer.add_image(name, picture, update)

    def say(self, line: str) -> None:
        """A line that does not tear the bar apart."""
        if self._bar.disable:
            # Not by print: Ray Train's workers have one that logs as well, and both are shown.
            self._terminal.write(line + "\n")
            self._terminal.flush()
        else:
            self._bar.write(line, file=self._terminal)

    def flush(self) -> None:
        """Put everything told so far on the disk, before a checkpoint that follows it."""
        self._metrics.flush()
        os.fsync(self._metrics.fileno())
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._bar.close()
        self._metrics.close()
        self._writer.close()

    def _write(self, kind: str, update: int, values: dict[str, float]) -> None:
        self._metrics.write(json.dumps({"kind": kind, "update": update, **values}) + "\n")
        self._metrics.flush()
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, update)


def read_metrics(folder: Path, kind: str) -> list[dict[str, float]]:
    """What ``metrics.jsonl`` of a run holds of a kind ("train" or "validation"), in order."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry.pop("kind") == kind]


def _forget_from(path: Path, update: int) -> None:
    """Remove lines of later updates, and the half line a killed run may leave."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["update"] < update:
                kept.append(line + "\n")
        except ValueError:
            break
    with replacing(path) as partial:
        partial.write_text("".join(kept), encoding="utf-8")


def _listed(values: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())
