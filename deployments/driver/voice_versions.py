"""Versions of registered voices in a store: created, extended by clips, deleted.

    voices/<id>/<version>/reference-<n>-<key>.flac, .safetensors    first
    voices/<id>/<version>/voice.json                                created exclusively, then
    voices/<id>/current.json                                        moved to the newest version
    voices/<id>/deleted.json                                        instead of all that, see below

`voice.json` makes a version exist, and of concurrent calls exactly one creates it. Clips carry a
key of the call, so no call overwrites what another one publishes, and a call that is repeated after
a crash is recognised. A deleted voice leaves its last version number behind and nothing else:
versions are kept in caches by name, so a name must never come to mean another voice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from deployments.driver.emotion import Weights
from deployments.errors import (
    DamagedRecord,
    InvalidInput,
    Overloaded,
    ReadOnlyRecord,
    UnknownVoice,
    VoiceExists,
)
from deployments.voice_encoder import EncodedClip
from models.gpt_sovits.published import (
    ENGINE,
    Consent,
    PublishedError,
    PublishedReference,
    PublishedVoice,
    to_json,
    voice_from_json,
)
from models.storage import ObjectExists, ObjectNotFound, ObjectStore

MAX_REFERENCES = 16

_MAX_ATTEMPTS = 8


@dataclass(frozen=True)
class NewReference:
    """A clip that is to be published.

    Args:
        encoded: the clip, its features and its transcript.
        language: of the clip.
        emotions: what is heard in it.
        key: names the call; letters and digits.
    """

    encoded: EncodedClip
    language: str
    emotions: Weights
    key: str

    def published(self, idx: int) -> PublishedReference:
        """Its entry in `voice.json`, as the reference number `idx`."""
        return PublishedReference(
            clip=f"reference-{idx}-{self.key}.flac",
            transcript=self.encoded.transcript,
            language=self.language,
            emotions=dict(self.emotions),
            features=f"reference-{idx}-{self.key}.safetensors",
        )


class VoiceVersions:
    """Registered voices in one store. All calls block.

    Args:
        store: where voices are published.
        embedded: voices that ship with the project; their names are taken.
    """

    def __init__(self, store: ObjectStore, embedded: ObjectStore) -> None:
        self._store = store
        self._embedded = embedded

    def to_extend(self, voice_id: str, caller: str | None) -> PublishedVoice | None:
        """The newest version of a voice that the caller may add to; None where there is none.

        Raises:
            VoiceExists: the id belongs to an embedded voice, to another key's, or to a voice of an
                engine that takes no further clips.
            DamagedRecord: what is stored can't be read.
        """
        document = self.standing(voice_id, caller)
        if document is None:
            return None
        require_engine(voice_id, document, ENGINE)
        try:
            return voice_from_json(document)
        except PublishedError as error:
            raise DamagedRecord(f"voice {voice_id} can't be read: {error}") from error

    def standing(self, voice_id: str, caller: str | None) -> bytes | None:
        """The newest document of a voice of any engine that the caller may change, if there is one.

        Raises:
            VoiceExists: the id belongs to an embedded voice, or to another key's.
            DamagedRecord: whose it is can't be read.
        """
        if self._is_embedded(voice_id):
            raise VoiceExists(f"voice {voice_id!r} ships with the project; choose another id")
        version = self._newest(voice_id)
        if version is None:
            return None
        document = self._document(voice_id, version)
        if not _may_change(caller, _owner(voice_id, document)):
            raise VoiceExists(f"voice {voice_id!r} exists and is not yours; choose another id")
        return document

    def first_version(self, voice_id: str) -> str:
        """The version of a voice that is not there; higher than any it had before a deletion."""
        return str(self._last_deleted(voice_id) + 1)

    def publish(
        self, voice_id: str, version: str, files: Mapping[str, bytes], document: bytes
    ) -> bool:
        """Write a version; False, with its files in place, if the document is there already.

        Args:
            files: by their names beside `voice.json`.
            document: `voice.json`, which makes the version exist.
        """
        folder = f"voices/{voice_id}/{version}"
        for name, content in files.items():
            self._store.write(f"{folder}/{name}", content)
        try:
            self._store.create(f"{folder}/voice.json", document)
        except ObjectExists:
            return False
        self._point_to_newest(voice_id)
        return True

    def discard(self, voice_id: str, version: str, names: Sequence[str]) -> None:
        """Remove files that `publish` has written for a version that is another call's."""
        for name in names:
            self._store.delete(f"voices/{voice_id}/{version}/{name}")

    def has_clip_of(self, voice: PublishedVoice, key: str) -> bool:
        """Whether a call published its clip before; if so the version is surely the current one."""
        if not _holds_clip_of(voice, key):
            return False
        self._point_to_newest(voice.voice_id)
        return True

    def clip(self, voice: PublishedVoice) -> bytes:
        """The first clip of a voice; `UnknownVoice` if it was deleted meanwhile."""
        try:
            return self._store.read(f"{_folder(voice)}/{voice.references[0].clip}")
        except ObjectNotFound:
            raise UnknownVoice(f"voice {voice.voice_id!r} was deleted meanwhile") from None

    def create(
        self, voice_id: str, new: NewReference, description: str, owner: str | None
    ) -> PublishedVoice:
        """Publish the first version of a voice, unless an attempt at the same call just has.

        Raises:
            VoiceExists: another call was faster.
        """
        now = _now()
        voice = PublishedVoice(
            voice_id=voice_id,
            version=self.first_version(voice_id),
            engine="gpt_sovits",
            language=new.language,
            description=description,
            licence=new.encoded.licence,
            created_at=now,
            checkpoint=new.encoded.checkpoint,
            references=(new.published(0),),
            consent=Consent(given=True, at=now),
            owner=owner,
            training=None,
        )
        standing = self.to_extend(voice_id, owner)
        if standing is not None and self.has_clip_of(standing, new.key):
            return standing
        published = self._publish(voice, new) if standing is None else None
        if published is None:
            raise VoiceExists(f"voice {voice_id!r} was registered by another call meanwhile")
        return published

    def extend(self, voice_id: str, new: NewReference, caller: str | None) -> PublishedVoice:
        """Publish a version with one more clip; concurrent calls add theirs one after the other.

        Raises:
            UnknownVoice: the voice was deleted meanwhile.
            VoiceExists: it was deleted and is now another key's.
            InvalidInput: it can't take the clip.
            Overloaded: too many calls add clips at the same time.
        """
        for _ in range(_MAX_ATTEMPTS):
            base = self.to_extend(voice_id, caller)
            if base is None:
                raise UnknownVoice(f"voice {voice_id!r} was deleted meanwhile")
            if self.has_clip_of(base, new.key):
                return base
            _check_fits(base, new)
            voice = replace(
                base,
                version=str(int(base.version) + 1),
                created_at=_now(),
                references=(*base.references, new.published(len(base.references))),
            )
            if self._copy_clips(base, voice) and (published := self._publish(voice, new)):
                self._withdraw_if_deleted(base, voice)
                return published
        raise Overloaded(f"too many clips are added to voice {voice_id!r}", {"retry_after_s": 1})

    def delete(self, voice_id: str, caller: str | None) -> None:
        """Delete all versions of a voice with their clips.

        Raises:
            UnknownVoice: there is none that the caller can see.
            ReadOnlyRecord: it ships with the project, or is everybody's.
            DamagedRecord: whose it is can't be read.
        """
        version = self._newest(voice_id)
        if version is None:
            if self._is_embedded(voice_id):
                raise ReadOnlyRecord(f"voice {voice_id!r} ships with the project")
            raise UnknownVoice(f"there is no voice {voice_id!r}")
        owner = _owner(voice_id, self._document(voice_id, version))
        if not _may_change(caller, owner):
            if owner is None:
                raise ReadOnlyRecord(f"voice {voice_id!r} is everybody's")
            raise UnknownVoice(f"there is no voice {voice_id!r}")
        versions = self._versions(voice_id)
        # An earlier deletion may have broken off when the highest ones were gone already.
        last_version = max(*versions, self._last_deleted(voice_id))
        deleted = json.dumps({"last_version": last_version}).encode()
        self._store.write(f"voices/{voice_id}/deleted.json", deleted)
        self._store.delete(f"voices/{voice_id}/current.json")
        for found in versions:
            self._store.delete_tree(f"voices/{voice_id}/{found}")

    def _publish(self, voice: PublishedVoice, new: NewReference) -> PublishedVoice | None:
        """Write a version; None, without a trace of the clip, if another call's is there.

        Two attempts at one call write the same files: the slower one must leave them alone.
        """
        reference = voice.references[-1]
        clip, features = (f"{_folder(voice)}/{name}" for name in _files(reference))
        self._store.write(clip, new.encoded.clip)
        self._store.write(features, new.encoded.features)
        try:
            self._store.create(f"{_folder(voice)}/voice.json", to_json(voice))
        except ObjectExists:
            standing = self._stored(voice)
            if standing is None or not _holds_clip_of(standing, new.key):
                self._store.delete(clip)
                self._store.delete(features)
                return None
            voice = standing
        self._point_to_newest(voice.voice_id)
        return voice

    def _stored(self, voice: PublishedVoice) -> PublishedVoice | None:
        """What is stored under the name of a version; None if it was deleted or is damaged."""
        try:
            return voice_from_json(self._store.read(f"{_folder(voice)}/voice.json"))
        except (ObjectNotFound, PublishedError):
            return None

    def _copy_clips(self, base: PublishedVoice, voice: PublishedVoice) -> bool:
        """Copy a version's files into the next one; False if the version was deleted meanwhile."""
        try:
            for reference in base.references:
                for name in _files(reference):
                    content = self._store.read(f"{_folder(base)}/{name}")
                    self._store.write(f"{_folder(voice)}/{name}", content)
        except ObjectNotFound:
            return False
        return True

    def _withdraw_if_deleted(self, base: PublishedVoice, voice: PublishedVoice) -> None:
        """A deletion that ran at the same time may have missed the version."""
        if self._last_deleted(voice.voice_id) < int(base.version):
            return
        deleted = json.dumps({"last_version": int(voice.version)}).encode()
        self._store.write(f"voices/{voice.voice_id}/deleted.json", deleted)
        self._store.delete_tree(_folder(voice))
        self._point_to_newest(voice.voice_id)
        raise UnknownVoice(f"voice {voice.voice_id!r} was deleted meanwhile")

    def _point_to_newest(self, voice_id: str) -> None:
        """Until what was newest before is newest still: calls that run at the same time agree."""
        key = f"voices/{voice_id}/current.json"
        while (newest := self._newest(voice_id)) is not None:
            self._store.write(key, json.dumps({"version": str(newest)}).encode())
            if self._newest(voice_id) == newest:
                return
        self._store.delete(key)

    def _newest(self, voice_id: str) -> int | None:
        """The highest version whose `voice.json` is there."""
        for version in sorted(self._versions(voice_id), reverse=True):
            if "voice.json" in self._store.children(f"voices/{voice_id}/{version}"):
                return version
        return None

    def _versions(self, voice_id: str) -> list[int]:
        names = self._store.children(f"voices/{voice_id}")
        return [int(name) for name in names if name.isascii() and name.isdecimal()]

    def _document(self, voice_id: str, version: int) -> bytes:
        try:
            return self._store.read(f"voices/{voice_id}/{version}/voice.json")
        except ObjectNotFound:
            raise UnknownVoice(f"voice {voice_id!r} was deleted meanwhile") from None

    def _last_deleted(self, voice_id: str) -> int:
        try:
            content = self._store.read(f"voices/{voice_id}/deleted.json")
        except ObjectNotFound:
            return 0
        version = _object(voice_id, content).get("last_version")
        if not isinstance(version, int):
            raise DamagedRecord(f"voice {voice_id}: its last version is {version!r}")
        return version

    def _is_embedded(self, voice_id: str) -> bool:
        return bool(self._embedded.children(f"voices/{voice_id}"))


def require_engine(voice_id: str, document: bytes, engine: str) -> None:
    """Raises `VoiceExists` where a voice is of another engine, or `DamagedRecord`."""
    found = _object(voice_id, document).get("engine")
    if found != engine:
        raise VoiceExists(
            f"voice {voice_id!r} exists and is of engine {found!r}; choose another id"
        )


def _files(reference: PublishedReference) -> tuple[str, str]:
    return reference.clip, reference.features


def _holds_clip_of(voice: PublishedVoice, key: str) -> bool:
    return any(reference.clip.endswith(f"-{key}.flac") for reference in voice.references)


def _folder(voice: PublishedVoice) -> str:
    return f"voices/{voice.voice_id}/{voice.version}"


def _check_fits(base: PublishedVoice, new: NewReference) -> None:
    if len(base.references) >= MAX_REFERENCES:
        raise InvalidInput(
            f"voice {base.voice_id!r} has {MAX_REFERENCES} clips, as many as a voice can have",
            {"limit": MAX_REFERENCES},
        )
    if base.language != new.language or base.checkpoint != new.encoded.checkpoint:
        raise InvalidInput(
            f"voice {base.voice_id!r} speaks {base.language!r} with {base.checkpoint}; the clip is "
            f"in {new.language!r} and encoded for {new.encoded.checkpoint}"
        )


def _may_change(caller: str | None, owner: str | None) -> bool:
    """A caller without a key is the only one there is; a key changes what it made."""
    return caller is None or caller == owner


def _owner(voice_id: str, document: bytes) -> str | None:
    owner = _object(voice_id, document).get("owner")
    if owner is not None and not isinstance(owner, str):
        raise DamagedRecord(f"voice {voice_id}: its owner is {owner!r}")
    return owner


def _object(voice_id: str, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise DamagedRecord(f"voice {voice_id} can't be read: {error}") from error
    if not isinstance(document, dict):
        raise DamagedRecord(f"voice {voice_id} holds a {type(document).__name__}, not an object")
    return document


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
