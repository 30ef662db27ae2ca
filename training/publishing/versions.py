"""Publishing one version of a record, whole or not at all.

    <kind>/<id>/<version>/README.md    created first and exclusively: it claims the number
    <kind>/<id>/<version>/…            the files
    <kind>/<id>/<version>/<document>   last: from here on the version exists
    <kind>/<id>/current.json           then moved to the newest version

A run that dies leaves a number that is claimed and never published; no later run uses it again.
What the newest version holds already is not published a second time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.storage import ObjectExists, ObjectNotFound, ObjectStore, RecordId

CARD_NAME = "README.md"
# What differs between two publications of the same thing.
_OF_THE_OCCASION = ("version", "created_at")


class VersionTaken(ValueError):
    """The version was published, or claimed, by another run."""


@dataclass(frozen=True)
class Description:
    """What tells people and programs of a version: its card, and the JSON that makes it exist."""

    card: str
    document: bytes


@dataclass(frozen=True)
class PublishedVersion:
    """A version and all its files by name; `is_new` unless it was there before."""

    record: RecordId
    files: dict[str, bytes]
    is_new: bool = True


@dataclass(frozen=True)
class VersionedFolder:
    """All versions of one record.

    Attributes:
        store: where they lie.
        kind: `voices`, `checkpoints` or `personas`.
        name: id of the record.
        document: name of the JSON that makes a version exist.
        beside: stores that are read together with this one; a number of theirs is not taken again,
            or it would mean something else from then on.
    """

    store: ObjectStore
    kind: str
    name: str
    document: str
    beside: tuple[ObjectStore, ...] = ()

    def publish_once(
        self,
        files: Mapping[str, bytes],
        describe: Callable[[int], Description],
        version: int | None = None,
    ) -> PublishedVersion:
        """Publish files as a version, unless that one, or the newest, holds the same.

        Args:
            files: content by name, without card and document.
            describe: tells of a version by its number.
            version: to publish them as; None for the next free one.

        Raises:
            VersionTaken: that version is not free, and holds something else.
        """
        known = self._published()
        like = max(known, default=0) if version is None else version
        if like in known:
            published = self._read(like)
            if _is_same(published, self._all_files(files, describe(like)), self.document):
                self._point_to_newest()  # a run that died may not have come to that
                return PublishedVersion(RecordId(self.name, str(like)), published, is_new=False)
        number = self.claim(version)
        everything = self._all_files(files, describe(number))
        document = everything[self.document]
        others = {name: text for name, text in everything.items() if name != self.document}
        return PublishedVersion(self.publish(number, others, document), everything)

    def next_version(self) -> int:
        """One more than any number that was ever claimed."""
        known = [*self._numbers(), *self._numbers_beside()]
        return max([0, self._last_deleted(), *known]) + 1

    def key(self, version: int, file: str) -> str:
        """Storage key of a version's file."""
        return f"{self.kind}/{self.name}/{version}/{file}"

    def claim(self, version: int | None = None) -> int:
        """Take a version number for this run alone: the wanted one, or the next free one.

        Raises:
            VersionTaken: that number is not free.
        """
        if version is not None:
            is_used = version <= self._last_deleted() or version in self._numbers_beside()
            if is_used or not self._claim(version):
                raise VersionTaken(f"{self.kind}: {RecordId(self.name, str(version))} is taken")
            return version
        while not self._claim(free := self.next_version()):
            pass
        return free

    def publish(self, version: int, files: Mapping[str, bytes], document: bytes) -> RecordId:
        """Write the files of a claimed version, make it exist, and point to it if it is newest."""
        for name, content in files.items():
            self.store.write(self.key(version, name), content)
        self.store.create(self.key(version, self.document), document)
        self._point_to_newest()
        return RecordId(self.name, str(version))

    def _read(self, version: int) -> dict[str, bytes]:
        names = self.store.children(f"{self.kind}/{self.name}/{version}")
        return {name: self.store.read(self.key(version, name)) for name in names}

    def _all_files(self, files: Mapping[str, bytes], described: Description) -> dict[str, bytes]:
        return {CARD_NAME: described.card.encode(), **files, self.document: described.document}

    def _claim(self, version: int) -> bool:
        try:
            self.store.create(self.key(version, CARD_NAME), b"")
        except ObjectExists:
            return False
        return True

    def _point_to_newest(self) -> None:
        """Once more if a newer version appeared meanwhile, whose run may have been faster."""
        written = 0
        while (newest := max(self._published())) != written:
            content = json.dumps({"version": str(newest)}) + "\n"
            self.store.write(f"{self.kind}/{self.name}/current.json", content.encode())
            written = newest

    def _published(self) -> list[int]:
        folder = f"{self.kind}/{self.name}"
        return [
            number
            for number in self._numbers()
            if self.document in self.store.children(f"{folder}/{number}")
        ]

    def _numbers(self) -> list[int]:
        return self._numbers_in(self.store)

    def _numbers_beside(self) -> list[int]:
        return [number for store in self.beside for number in self._numbers_in(store)]

    def _numbers_in(self, store: ObjectStore) -> list[int]:
        children = store.children(f"{self.kind}/{self.name}")
        return [int(name) for name in children if name.isascii() and name.isdecimal()]

    def _last_deleted(self) -> int:
        """The last number of a voice that was deleted; it must never mean another voice."""
        try:
            content = self.store.read(f"{self.kind}/{self.name}/deleted.json")
        except ObjectNotFound:
            return 0
        return int(json.loads(content)["last_version"])


def _is_same(before: Mapping[str, bytes], after: Mapping[str, bytes], document: str) -> bool:
    """Whether two versions have the same files, whenever they were made."""
    return (
        before.keys() == after.keys()
        and all(before[name] == content for name, content in after.items() if name != document)
        and _lasting(before[document]) == _lasting(after[document])
    )


def _lasting(document: bytes) -> dict[str, Any]:
    fields = json.loads(document)
    return {name: value for name, value in fields.items() if name not in _OF_THE_OCCASION}
