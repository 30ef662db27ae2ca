"""Keys and bytes: the one interface behind which results and voices are stored.

A key is a relative path of plain names, `jobs/2026/11/job_…/audio.wav`. A reader never sees half
of an object. No folder exists of its own: it is there as long as an object lies below it.
"""

from __future__ import annotations

import re
from typing import Protocol

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_MAX_KEY_LENGTH = 512


class StorageError(ValueError):
    """A storage call could not be carried out."""


class ObjectNotFound(StorageError):
    """No object has this key."""


class ObjectExists(StorageError):
    """An object that may be created only once is already there."""


class StorageUnavailable(StorageError):
    """The disk or the object store refused or did not answer; the same call may work later."""


class ObjectStore(Protocol):
    """What every storage backend offers. All calls block; all may raise `StorageError`."""

    def check_writable(self) -> None:
        """Raises `StorageUnavailable` unless objects can be written."""

    def sweep(self) -> None:
        """Remove what killed writers have left behind, and nothing of a live one."""

    def read(self, key: str) -> bytes:
        """Content of an object; `ObjectNotFound` if there is none."""

    def size(self, key: str) -> int:
        """Length of an object in bytes; `ObjectNotFound` if there is none."""

    def read_range(self, key: str, start: int, num_bytes: int) -> bytes:
        """Up to `num_bytes` (at least 1) of an object from byte `start`; none beyond its end."""

    def write(self, key: str, content: bytes) -> None:
        """Create or replace an object, as a whole or not at all."""

    def create(self, key: str, content: bytes) -> None:
        """Create an object that must not exist; `ObjectExists` if it does.

        Of all concurrent calls for one key exactly one succeeds.
        """

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""

    def delete_tree(self, prefix: str) -> None:
        """Remove all objects below a folder; nothing happens if there are none."""

    def children(self, prefix: str) -> list[str]:
        """Sorted names one level below a folder: objects and folders alike."""

    def page(self, prefix: str, after: str, limit: int) -> list[str]:
        """The first `limit` names, in order, of the objects right below a folder behind `after`.

        On S3 this costs one request for every thousand names of the page, not of the folder.
        """

    def uri(self, key: str) -> str | None:
        """Where an object lies, `s3://…`; None if only a path of this machine leads to it."""


def check_key(key: str) -> str:
    """The key itself; `StorageError` for anything that could point outside the root."""
    if len(key) > _MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise StorageError(f"not a storage key: {key[:80]!r}")
    return key


def check_range(start: int, num_bytes: int) -> None:
    """Raises `StorageError` for a range that no object has."""
    if start < 0 or num_bytes < 1:
        raise StorageError(f"not a range: {num_bytes} bytes from byte {start}")
