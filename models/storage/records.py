"""Versioned documents: a voice, a persona or a character, immutable once published.

A record is a folder of versions; `current.json` beside them names the newest. Layers are searched
in order, so that what a user publishes stands before what ships with the project.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.storage.folder import FolderStore
from models.storage.objects import ObjectNotFound, ObjectStore, StorageError

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})(?:@([a-z0-9][a-z0-9._-]{0,31}))?")


class InvalidReference(StorageError):
    """A reference to a record is not of the form `id` or `id@version`."""


class UnknownRecord(StorageError):
    """A well-formed reference names nothing that is stored."""


@dataclass(frozen=True)
class RecordId:
    """One immutable version of a record; written `id@version`."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def embedded_store() -> FolderStore:
    """Voices, personas and characters that ship with the project; never written to."""
    return FolderStore(Path(__file__).resolve().parent.parent / "embedded")


class VersionedRecords:
    """All records of one kind over several stores.

    Args:
        layers: stores, the first found wins.
        folder: top folder of the kind, such as `voices`.
        document: path of a version's JSON below its record, with `{version}` in it.
    """

    def __init__(self, layers: Sequence[ObjectStore], folder: str, document: str) -> None:
        self._layers = tuple(layers)
        self._folder = folder
        self._document = document

    def names(self) -> list[str]:
        """Sorted ids of all records that have a published version."""
        found: set[str] = set()
        for layer in self._layers:
            for name in layer.children(self._folder):
                if _ID.fullmatch(name) and "current.json" in layer.children(
                    f"{self._folder}/{name}"
                ):
                    found.add(name)
        return sorted(found)

    def resolve(self, reference: str) -> RecordId:
        """Turn `id` (its newest version) or `id@version` into a record id.

        Raises:
            InvalidReference: the text is neither.
            UnknownRecord: nothing of that name, or no such version.
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise InvalidReference(
                f"{reference[:80]!r} is not an id: 1 to 64 of a-z 0-9 _ -, optionally @version"
            )
        name, version = match.groups()
        for layer in self._layers:
            found = version or self._current(layer, name)
            if found is not None and self._has(layer, RecordId(name, found)):
                return RecordId(name, found)
        # What else there is may be somebody's own: callers are told, so it is not listed.
        raise UnknownRecord(f"{self._folder}: nothing is called {reference!r}")

    def read(self, record: RecordId) -> dict[str, Any]:
        """The JSON document of one version.

        Raises:
            UnknownRecord: it is not stored in any layer.
        """
        return _json_object(self.read_bytes(record), self._key(record))

    def read_bytes(self, record: RecordId) -> bytes:
        """The document of one version as it is stored.

        Raises:
            UnknownRecord: it is not stored in any layer.
        """
        for layer in self._layers:
            try:
                return layer.read(self._key(record))
            except ObjectNotFound:
                continue
        raise UnknownRecord(f"{self._folder}: {record} is not stored")

    def _has(self, layer: ObjectStore, record: RecordId) -> bool:
        try:
            layer.read(self._key(record))
        except ObjectNotFound:
            return False
        return True

    def _current(self, layer: ObjectStore, name: str) -> str | None:
        key = f"{self._folder}/{name}/current.json"
        try:
            version = _json_object(layer.read(key), key).get("version")
        except ObjectNotFound:
            return None
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise StorageError(f"{key}: 'version' must be a version, got {version!r}")
        return version

    def _key(self, record: RecordId) -> str:
        document = self._document.format(version=record.version)
        return f"{self._folder}/{record.name}/{document}"


def _json_object(content: bytes, key: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise StorageError(f"{key} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise StorageError(f"{key} holds a {type(document).__name__}, not an object")
    return document
