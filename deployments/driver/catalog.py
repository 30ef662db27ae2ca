"""What a request may name: voices, personas and characters, read from the layered store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from deployments.errors import (
    DamagedRecord,
    InvalidInput,
    SpeechError,
    UnknownCharacter,
    UnknownVoice,
    UnsupportedEmotion,
    UnsupportedLanguage,
)
from models.kokoro.voice import EMOTIONS, KokoroVoice
from models.persona.persona import Persona
from models.storage import (
    InvalidReference,
    ObjectStore,
    RecordId,
    StorageError,
    UnknownRecord,
    VersionedRecords,
)

Item = TypeVar("Item")

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Style:
    """How a text is to be spoken."""

    language: str
    emotion: str
    speed: float
    dictionary: dict[str, str]


@dataclass(frozen=True)
class Voice:
    """One immutable version of a voice; what its engine needs travels with every request."""

    record: RecordId
    engine: str
    language: str
    emotions: tuple[str, ...]
    description: str
    licence: str
    created_at: str
    settings: KokoroVoice

    @classmethod
    def from_document(cls, record: RecordId, document: dict[str, Any]) -> Voice:
        """The voice that a stored `voice.json` describes."""
        settings = KokoroVoice.from_document(document)
        return cls(
            record=record,
            engine=document["engine"],
            language=settings.language,
            emotions=tuple(settings.variants),
            description=document["description"],
            licence=document["licence"],
            created_at=document["created_at"],
            settings=settings,
        )

    def style(
        self, language: str, emotion: str, speed: float, dictionary: dict[str, str] | None = None
    ) -> Style:
        """How this voice is to speak.

        Raises:
            UnsupportedLanguage: the voice does not speak it.
            UnsupportedEmotion: no such emotion; a voice uses the nearest it has.
        """
        if language != self.language:
            raise UnsupportedLanguage(
                f"voice {self.record} does not speak {language!r}; it speaks {self.language!r}",
                {"supported": [self.language]},
            )
        if emotion not in EMOTIONS:
            raise UnsupportedEmotion(
                f"emotion {emotion!r} is not known; known: {', '.join(EMOTIONS)}",
                {"supported": list(EMOTIONS)},
            )
        return Style(language, emotion, speed, dictionary or {})


@dataclass(frozen=True)
class Character:
    """A persona with its voice and how it reads certain words."""

    persona: Persona
    voice: Voice
    dictionary: dict[str, str]


class _CharacterDocument(BaseModel):
    """What `characters/<id>/<version>.json` holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    character_id: str
    version: str
    persona: str
    voice: str
    dictionary: dict[str, str]


class Catalog:
    """Reads records on demand and keeps them: a published version never changes. Calls block.

    Args:
        layers: stores, the first found wins.
    """

    def __init__(self, layers: Sequence[ObjectStore]) -> None:
        self._voices = VersionedRecords(layers, "voices", "{version}/voice.json")
        self._personas = VersionedRecords(layers, "personas", "{version}/persona.json")
        self._characters = VersionedRecords(layers, "characters", "{version}.json")
        self._voice_cache: dict[RecordId, Voice] = {}
        self._persona_cache: dict[RecordId, Persona] = {}

    def voices(self) -> list[Voice]:
        """The newest version of every voice; one that can't be read is logged and left out."""
        return _readable(self.voice, self._voices.names())

    def voice(self, reference: str) -> Voice:
        """The voice `id` or `id@version`; `UnknownVoice` if there is none."""
        record = _resolve(self._voices, reference, UnknownVoice)
        if record not in self._voice_cache:
            with _damage_named("voice", record):
                document = self._voices.read(record)
                self._voice_cache[record] = Voice.from_document(record, document)
        return self._voice_cache[record]

    def persona(self, reference: str) -> Persona:
        """The persona `id` or `id@version`; `UnknownCharacter` if there is none."""
        record = _resolve(self._personas, reference, UnknownCharacter)
        if record not in self._persona_cache:
            with _damage_named("persona", record):
                self._persona_cache[record] = Persona.from_json(self._personas.read_bytes(record))
        return self._persona_cache[record]

    def personas(self) -> list[Persona]:
        """The newest version of every persona; one that can't be read is logged and left out."""
        return _readable(self.persona, self._personas.names())

    def character(self, reference: str) -> Character:
        """The character `id` or `id@version`; `UnknownCharacter` if there is none."""
        record = _resolve(self._characters, reference, UnknownCharacter)
        with _damage_named("character", record):
            document = _CharacterDocument.model_validate(self._characters.read(record))
        return Character(
            persona=self.persona(document.persona),
            voice=self.voice(document.voice),
            dictionary=document.dictionary,
        )

    def cast(self, character: str | None, persona: str | None, speaker_id: str | None) -> Character:
        """Who answers and in which voice.

        A character brings both; `persona` and `speaker_id` replace its halves. A `speaker_id`
        alone means the character of that name.

        Raises:
            InvalidInput: too little is named to find both halves.
        """
        if character is None and speaker_id is not None and persona is None:
            character = speaker_id.partition("@")[0]
        if character is not None:
            base = self.character(character)
            return replace(
                base,
                persona=self.persona(persona) if persona else base.persona,
                voice=self.voice(speaker_id) if speaker_id else base.voice,
            )
        if persona is None or speaker_id is None:
            known = ", ".join(self._characters.names())
            raise InvalidInput(f"name a character ({known}), or both a persona and a speaker_id")
        return Character(self.persona(persona), self.voice(speaker_id), dictionary={})


@contextmanager
def _damage_named(kind: str, record: RecordId) -> Iterator[None]:
    """Say which record is meant when what is stored of it can't be read."""
    try:
        yield
    except (ValueError, KeyError) as error:
        raise DamagedRecord(f"{kind} {record} can't be read: {error}") from error


def _readable(read: Callable[[str], Item], names: Sequence[str]) -> list[Item]:
    items = []
    for name in names:
        try:
            items.append(read(name))
        except SpeechError as error:
            logger.error("left out of the list: %s", error)
    return items


def _resolve(records: VersionedRecords, reference: str, unknown: type[SpeechError]) -> RecordId:
    try:
        return records.resolve(reference)
    except InvalidReference as error:
        raise InvalidInput(str(error)) from error
    except UnknownRecord as error:
        raise unknown(str(error)) from error
    except StorageError as error:
        raise DamagedRecord(str(error)) from error
