"""Keys and bytes: the one interface behind which results and voices are stored.

A key is a relative path of plain names, `jobs/2026/11/job_…/audio.wav`. A reader never sees half
of an object: a write is prepared beside its target and moved into place.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_MAX_KEY_LENGTH = 512


class StorageError(ValueError):
    """A storage call could not be carried out."""


class ObjectNotFound(StorageError):
    """No object has this key."""


class ObjectExists(StorageError):
    """An object that may be created only once is already there."""


class ObjectStore(Protocol):
    """What every storage backend offers. All calls block; all may raise `StorageError`."""

    def read(self, key: str) -> bytes:
        """Content of an object; `ObjectNotFound` if there is none."""

    def write(self, key: str, content: bytes) -> None:
        """Create or replace an object, as a whole or not at all."""

    def create(self, key: str, content: bytes) -> None:
        """Create an object that must not exist; `ObjectExists` if it does."""

    def children(self, prefix: str) -> list[str]:
        """Sorted names one level below a folder: objects and folders alike."""


class FolderStore:
    """Objects as files below one folder of the local disk.

    Args:
        root: absolute folder; created on the first write.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_absolute():
            raise StorageError(f"storage root must be an absolute folder, got {str(root)!r}")
        self.root = root

    def check_writable(self) -> None:
        """Raises `StorageError` unless objects can be written below the root."""
        try:
            with self._prepared(self.root / "probe", b""):
                pass
        except OSError as error:
            raise StorageError(f"cannot write to storage root {self.root}: {error}") from error

    def read(self, key: str) -> bytes:
        try:
            return self.path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ObjectNotFound(f"no object {key!r}") from None

    def write(self, key: str, content: bytes) -> None:
        path = self.path(key)
        with self._prepared(path, content) as prepared:
            os.replace(prepared, path)

    def create(self, key: str, content: bytes) -> None:
        path = self.path(key)
        with self._prepared(path, content) as prepared:
            try:
                os.link(prepared, path)  # unlike a rename, fails when the target exists
            except FileExistsError:
                raise ObjectExists(f"object {key!r} exists already") from None

    def children(self, prefix: str) -> list[str]:
        folder = self.path(prefix)
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))

    def path(self, key: str) -> Path:
        """File of a key; refuses anything that could point outside the root."""
        if len(key) > _MAX_KEY_LENGTH or not _KEY.fullmatch(key):
            raise StorageError(f"not a storage key: {key[:80]!r}")
        return self.root / key

    @contextmanager
    def _prepared(self, path: Path, content: bytes) -> Iterator[Path]:
        """A finished file beside `path`, gone again when the block ends, unless it was moved."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # The leading dot keeps an unfinished file out of every listing.
        descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
        prepared = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            prepared.chmod(0o644)
            yield prepared
        finally:
            prepared.unlink(missing_ok=True)
