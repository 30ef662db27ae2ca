"""Objects as files of the local disk, or of a volume that several machines mount."""

from __future__ import annotations

import errno
import heapq
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.storage.objects import (
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    check_key,
    check_range,
)

# A key begins with a letter or a digit, so that no object can lie here.
_UNFINISHED = ".unfinished"
_WRITTEN = "written-"
_DELETED = "deleted-"

_ABANDONED_AFTER_S = 3600.0  # a live writer's file is seconds old, or minutes on a slow volume


class FolderStore:
    """Objects as files below one folder, which is one file system.

    A write is prepared in `.unfinished` and moved to its place, and what is deleted is moved there
    first: readers see all or nothing, and what killed processes leave behind lies in one folder.

    Args:
        root: absolute folder; created on the first write.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_absolute():
            raise StorageError(f"storage root must be an absolute folder, got {str(root)!r}")
        self.root = root

    def check_writable(self) -> None:
        with self._prepared(self.root / "probe", b""):
            pass

    def sweep(self) -> None:
        with self._prepared(self.root / "probe", b"") as probe, _failures_named(_UNFINISHED):
            # By the clock of the volume, which need not be this machine's.
            now_s = probe.stat().st_mtime
            for path in probe.parent.iterdir():
                if path.name.startswith(_DELETED):
                    _remove_tree(path)
                elif path.name.startswith(_WRITTEN) and _is_abandoned(path, now_s):
                    path.unlink(missing_ok=True)

    def read(self, key: str) -> bytes:
        with _failures_named(key):
            return self.path(key).read_bytes()

    def size(self, key: str) -> int:
        with _failures_named(key):
            status = self.path(key).stat()
        if not stat.S_ISREG(status.st_mode):
            raise ObjectNotFound(f"no object {key!r}")
        return status.st_size

    def read_range(self, key: str, start: int, num_bytes: int) -> bytes:
        check_range(start, num_bytes)
        with _failures_named(key), self.path(key).open("rb") as file:
            file.seek(start)
            return file.read(num_bytes)

    def write(self, key: str, content: bytes) -> None:
        path = self.path(key)
        with _failures_named(key), self._prepared(path, content) as prepared:
            os.replace(prepared, path)
            _keep_entries(path.parent)

    def create(self, key: str, content: bytes) -> None:
        path = self.path(key)
        with _failures_named(key), self._prepared(path, content) as prepared:
            try:
                os.link(prepared, path)  # unlike a rename, fails when the target exists
            except FileExistsError:
                raise ObjectExists(f"object {key!r} exists already") from None
            _keep_entries(path.parent)

    def delete(self, key: str) -> None:
        path = self.path(key)
        with _failures_named(key):
            if not path.is_dir():
                path.unlink(missing_ok=True)

    def delete_tree(self, prefix: str) -> None:
        folder = self.path(prefix)
        with _failures_named(prefix):
            if not folder.is_dir():
                return
            # Moved out of sight first, so that no reader sees half of it.
            hidden = Path(tempfile.mkdtemp(prefix=_DELETED, dir=self._unfinished()))
            try:
                with suppress(FileNotFoundError):  # another call was faster
                    os.replace(folder, hidden)
            finally:
                _remove_tree(hidden)

    def children(self, prefix: str) -> list[str]:
        folder = self.path(prefix)
        try:
            with _failures_named(prefix):
                return sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except ObjectNotFound:
            return []

    def page(self, prefix: str, after: str, limit: int) -> list[str]:
        try:
            with _failures_named(prefix), os.scandir(self.path(prefix)) as entries:
                names = (entry.name for entry in entries if entry.is_file())
                found = (name for name in names if name > after and not name.startswith("."))
                return heapq.nsmallest(limit, found)
        except ObjectNotFound:
            return []

    def uri(self, key: str) -> str | None:
        check_key(key)
        return None

    def path(self, key: str) -> Path:
        """File of a key."""
        return self.root / check_key(key)

    def _unfinished(self) -> Path:
        folder = self.root / _UNFINISHED
        _make_folder(folder)
        return folder

    @contextmanager
    def _prepared(self, path: Path, content: bytes) -> Iterator[Path]:
        """A finished file that can be moved to `path`; gone when the block ends, unless it was."""
        try:
            _make_folder(path.parent)
            descriptor, name = tempfile.mkstemp(prefix=_WRITTEN, dir=self._unfinished())
        except OSError as error:
            raise StorageUnavailable(f"cannot write below {self.root}: {error}") from error
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


def _is_abandoned(path: Path, now_s: float) -> bool:
    try:
        return now_s - path.stat().st_mtime > _ABANDONED_AFTER_S
    except FileNotFoundError:  # its writer has just finished
        return False


def _remove_tree(folder: Path) -> None:
    """Remove a folder, also while others do."""
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _keep_entries(folder.parent)


def _keep_entries(folder: Path) -> None:
    """Make a folder's entries outlast a power cut: syncing the files alone keeps no names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what file systems say that can't do this
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _failures_named(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ObjectNotFound(f"no object {key!r}") from error
    except OSError as error:
        raise StorageUnavailable(f"object {key!r}: {error.strerror}") from error
