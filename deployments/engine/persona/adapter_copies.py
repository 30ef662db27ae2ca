"""Adapters on disk, for an engine that reads them from folders."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from models.persona.adapter_files import Adapter


class AdapterCopies:
    """Copies of checked adapters, and nothing beside them, in a folder that ends with the process.

    Each goes by a number that is used once, so that an adapter that comes back is never taken for
    the copy that is about to go.
    """

    def __init__(self) -> None:
        self._root = TemporaryDirectory(prefix="baewoo-adapters-")

    @property
    def root(self) -> Path:
        """Holds a folder for each copy."""
        return Path(self._root.name)

    def add(self, number: int, adapter: Adapter) -> Path:
        """The folder of a new copy."""
        folder = self.root / str(number)
        folder.mkdir()
        adapter.save(folder)
        return folder

    def drop(self, number: int) -> None:
        """Delete a copy."""
        shutil.rmtree(self.root / str(number), ignore_errors=True)

    def close(self) -> None:
        """Delete them all."""
        self._root.cleanup()
