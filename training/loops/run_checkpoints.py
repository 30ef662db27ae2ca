"""Where an interrupted run goes on: its newest complete checkpoint."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from models.checkpoints.replacing import replacing

_LOGGER = logging.getLogger(__name__)
_PATTERN = "update-*.pt"


class RunCheckpoints:
    """``update-<number>.pt`` files in one folder, of which the newest stay.

    A file appears when it is complete. Networks, optimizers, position and best result are all that
    the rest of a run depends on: schedules follow from the update, randomness from seed and update.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def newest(self) -> dict[str, Any] | None:
        """The newest checkpoint that can be read, on the CPU; None at the start of a run."""
        for path in self._newest_first():
            try:
                content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
                _LOGGER.warning("%s cannot be read, taking the one before: %s", path.name, error)
            else:
                return content
        return None

    def save(self, update: int, content: dict[str, Any]) -> Path:
        """Write a checkpoint, then remove those that are no longer kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"update-{update:09}.pt"
        with replacing(path) as partial:
            torch.save(content, partial)
        for old in self._newest_first()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob(_PATTERN), reverse=True)
