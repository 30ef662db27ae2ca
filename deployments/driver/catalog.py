"""What a request may name: voices, personas and characters, read from the layered store."""

from __future__ import annotations

import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from deployments.driver.controls import NO_CONTROLS, Controls
from deployments.driver.emotion import Emotion, Weights, main_emotion, nearest_emotion
from deployments.errors import (
    DamagedRecord,
    InvalidInput,
    SpeechError,
    UnknownCharacter,
    UnknownVoice,
    UnsupportedLanguage,
)
from models.gpt_sovits import published
from models.gpt_sovits.pipeline import ReferenceFeatures
from models.gpt_sovits.published import EMOTION_NAMES, EmotionName, PublishedVoice
from models.kokoro import voice as kokoro
from models.kokoro.voice import KokoroVoice
from models.persona.persona import Persona
from models.storage import (
    InvalidReference,
    ObjectNotFound,
    ObjectStore,
    RecordId,
    StorageError,
    StorageUnavailable,
    UnknownRecord,
    VersionedRecords,
)
from models.text.errors import TextError
from models.zonos import published as zonos
from models.zonos.conditions import Conditions
from models.zonos.emotion import emotion_vector
from models.zonos.published import PublishedZonosVoice
from models.zonos.symbols import zonos_language

Item = TypeVar("Item")

Streaming = Literal["exact", "early"]

logger = logging.getLogger("ray.serve")


_SEEDS = range(-(2**63), 2**63)
# Whoever parses JSON as JavaScript does keeps 53 bits of a number.
_DRAWN_SEED_BITS = 53
_MAX_CACHED_FEATURES = 256  # some 20 kB each


@dataclass(frozen=True)
class Style:
    """How a text is to be spoken.

    Args:
        language: of the text.
        emotion: the one that is used, the voice's nearest to what was asked for.
        emotion_idx: which of the voice's emotions that is.
        speed: 1 is the voice's own pace.
        dictionary: written form → how to read it.
        seed: the same text in the same style sounds the same.
        streaming: `exact` is the same whole or in chunks; `early` begins before a segment's tokens
            are complete, where an engine has any, and sounds a little different.
        conditions: what a Zonos voice is told besides its speaker and its language; None for
            voices of other engines.
    """

    language: str
    emotion: str
    emotion_idx: int
    speed: float
    dictionary: dict[str, str]
    seed: int
    streaming: Streaming = "exact"
    conditions: Conditions | None = None


@dataclass(frozen=True)
class Voice:
    """One immutable version of a voice.

    Args:
        emotion_choices: what it can be asked for, each as weights over the eight names: variants of
            a Kokoro voice, reference clips of a GPT-SoVITS voice; all eight of a Zonos voice, which
            takes any weights of them.
        settings: what its engine needs to know.
        owner: id of the API key that registered it; None for everyone's.
    """

    record: RecordId
    engine: str
    language: str
    emotion_choices: tuple[Weights, ...]
    description: str
    licence: str
    created_at: str
    settings: KokoroVoice | PublishedVoice | PublishedZonosVoice
    owner: str | None = None

    @classmethod
    def from_document(cls, record: RecordId, content: bytes) -> Voice:
        """The voice that a stored `voice.json` describes; `ValueError` if it describes none."""
        document = json.loads(content)
        engine = document.get("engine") if isinstance(document, dict) else None
        match engine:
            case kokoro.ENGINE:
                return _kokoro_voice(record, document)
            case published.ENGINE:
                return _gpt_sovits_voice(record, published.voice_from_json(content))
            case zonos.ENGINE:
                return _zonos_voice(record, zonos.zonos_voice_from_json(content))
        known = f"{kokoro.ENGINE}, {published.ENGINE}, {zonos.ENGINE}"
        raise ValueError(f"its engine is {engine!r}; known: {known}")

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the emotions it has, without repetitions."""
        return tuple(dict.fromkeys(main_emotion(choice) for choice in self.emotion_choices))

    def style(
        self,
        language: str,
        emotion: Emotion,
        speed: float,
        dictionary: dict[str, str] | None = None,
        seed: int | None = None,
        streaming: Streaming = "exact",
        controls: Controls = NO_CONTROLS,
    ) -> Style:
        """How this voice is to speak; a seed is drawn where none is given.

        Raises:
            UnsupportedLanguage: the voice does not speak it.
            UnsupportedEmotion: no such emotion; a voice uses the nearest it has.
            InvalidInput: the seed does not fit 64 bits with a sign; or a control is out of range,
                or one that the voice's engine does not have.
        """
        self._require_language(language)
        if seed is not None and seed not in _SEEDS:
            raise InvalidInput(f"seed {seed} does not fit 64 bits with a sign")
        emotion_idx = nearest_emotion(emotion, self.emotion_choices)
        return Style(
            language=language,
            emotion=main_emotion(self.emotion_choices[emotion_idx]),
            emotion_idx=emotion_idx,
            speed=speed,
            dictionary=dictionary or {},
            seed=secrets.randbits(_DRAWN_SEED_BITS) if seed is None else seed,
            streaming=streaming,
            conditions=self._conditions(emotion, speed, controls),
        )

    def _require_language(self, language: str) -> None:
        """A Zonos voice speaks every language of its engine, any other one its own."""
        if self.engine == zonos.ENGINE:
            try:
                zonos_language(language)
            except TextError as error:
                raise UnsupportedLanguage(str(error)) from error
        elif language != self.language:
            raise UnsupportedLanguage(
                f"voice {self.record} does not speak {language!r}; it speaks {self.language!r}",
                {"supported": [self.language]},
            )

    def _conditions(self, emotion: Emotion, speed: float, controls: Controls) -> Conditions | None:
        if self.engine == zonos.ENGINE:
            return _zonos_conditions(emotion, speed, controls)
        if controls.given:
            raise InvalidInput(
                f"voice {self.record} is of engine {self.engine}, which has no "
                f"{controls.given[0]}; {zonos.ENGINE} has"
            )
        return None


def _zonos_conditions(emotion: Emotion, speed: float, controls: Controls) -> Conditions:
    """The controls that are given, else the reference's defaults; speed is a matter of rate."""
    defaults = Conditions(language_id=None)
    assert defaults.speaking_rate is not None
    rate = defaults.speaking_rate if controls.speaking_rate is None else controls.speaking_rate
    try:
        return Conditions(
            language_id=None,
            emotion=emotion_vector(emotion),
            fmax_hz=defaults.fmax_hz if controls.fmax is None else controls.fmax,
            pitch_std=defaults.pitch_std if controls.pitch_std is None else controls.pitch_std,
            speaking_rate=rate * speed,
        )
    except ValueError as error:
        raise InvalidInput(str(error)) from error


def _kokoro_voice(record: RecordId, document: dict[str, Any]) -> Voice:
    settings = KokoroVoice.from_document(document)
    return Voice(
        record=record,
        engine=settings.engine,
        language=settings.language,
        emotion_choices=tuple({cast(EmotionName, name): 1.0} for name in settings.variants),
        description=document["description"],
        licence=document["licence"],
        created_at=document["created_at"],
        settings=settings,
    )


def _gpt_sovits_voice(record: RecordId, settings: PublishedVoice) -> Voice:
    return Voice(
        record=record,
        engine=settings.engine,
        language=settings.language,
        emotion_choices=tuple(reference.emotions for reference in settings.references),
        description=settings.description,
        licence=settings.licence,
        created_at=settings.created_at,
        settings=settings,
        owner=settings.owner,
    )


def _zonos_voice(record: RecordId, settings: PublishedZonosVoice) -> Voice:
    return Voice(
        record=record,
        engine=settings.engine,
        language=settings.language,
        emotion_choices=tuple({name: 1.0} for name in EMOTION_NAMES),
        description=settings.description,
        licence=settings.licence,
        created_at=settings.created_at,
        settings=settings,
        owner=settings.owner,
    )


@dataclass(frozen=True)
class Character:
    """A persona with its voice and how it reads certain words."""

    persona: Persona
    voice: Voice
    dictionary: dict[str, str]


class CharacterDocument(BaseModel):
    """What `characters/<id>/<version>.json` holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    character_id: str
    version: str
    persona: str
    voice: str
    dictionary: dict[str, str]
    owner: str | None = None
    """Name of the API key that made it."""


class Catalog:
    """Reads records on demand and keeps them: a published version never changes. Calls block.

    Args:
        layers: stores, the first found wins.
    """

    def __init__(self, layers: Sequence[ObjectStore]) -> None:
        self._layers = tuple(layers)
        self._voices = VersionedRecords(layers, "voices", "{version}/voice.json")
        self._personas = VersionedRecords(layers, "personas", "{version}/persona.json")
        self._characters = VersionedRecords(layers, "characters", "{version}.json")
        self._voice_cache: dict[RecordId, Voice] = {}
        self._persona_cache: dict[RecordId, Persona] = {}
        self._features: OrderedDict[str, ReferenceFeatures] = OrderedDict()
        self._speakers: OrderedDict[str, Tensor] = OrderedDict()

    def voices(self) -> list[Voice]:
        """The newest version of every voice; one that can't be read is logged and left out."""
        return _readable(self.voice, self._voices.names())

    def voice(self, reference: str) -> Voice:
        """The voice `id` or `id@version`; `UnknownVoice` if there is none."""
        record = _resolve(self._voices, reference, UnknownVoice)
        if record not in self._voice_cache:
            with _damage_named("voice", record):
                content = self._voices.read_bytes(record)
                self._voice_cache[record] = Voice.from_document(record, content)
        return self._voice_cache[record]

    def checkpoints(self) -> list[str]:
        """`id@version` of the weights of all voices, sorted."""
        settings = [voice.settings for voice in self.voices()]
        return sorted({each.checkpoint for each in settings if isinstance(each, PublishedVoice)})

    def features(self, voice: Voice, reference_idx: int) -> ReferenceFeatures:
        """What S1 and S2 know of one reference clip of a GPT-SoVITS voice.

        Raises:
            UnknownVoice: the voice has been deleted since it was looked up.
            DamagedRecord: they can't be read.
        """
        assert isinstance(voice.settings, PublishedVoice)
        name = voice.settings.references[reference_idx].features
        key = f"voices/{voice.record.name}/{voice.record.version}/{name}"
        features = self._features.get(key)
        if features is None:
            with _damage_named("voice", voice.record):
                features = published.features_from_bytes(self._read_file(voice, key))
            self._features[key] = features
            if len(self._features) > _MAX_CACHED_FEATURES:
                self._features.popitem(last=False)
        return features

    def zonos_checkpoints(self) -> list[str]:
        """`id@version` of the weights of all Zonos voices, sorted."""
        settings = [voice.settings for voice in self.voices()]
        return sorted(
            {each.checkpoint for each in settings if isinstance(each, PublishedZonosVoice)}
        )

    def speaker(self, voice: Voice) -> Tensor:
        """The (128,) numbers of a Zonos voice's speaker; raises as `features` does."""
        assert isinstance(voice.settings, PublishedZonosVoice)
        name = voice.settings.speaker
        key = f"voices/{voice.record.name}/{voice.record.version}/{name}"
        speaker = self._speakers.get(key)
        if speaker is None:
            with _damage_named("voice", voice.record):
                speaker = zonos.speaker_from_bytes(self._read_file(voice, key))
            self._speakers[key] = speaker
            if len(self._speakers) > _MAX_CACHED_FEATURES:
                self._speakers.popitem(last=False)
        return speaker

    def _read_file(self, voice: Voice, key: str) -> bytes:
        try:
            return self._read(key)
        except ObjectNotFound:
            _resolve(self._voices, str(voice.record), UnknownVoice)
            raise

    def _read(self, key: str) -> bytes:
        for layer in self._layers:
            try:
                return layer.read(key)
            except ObjectNotFound:
                continue
        raise ObjectNotFound(f"no object {key!r}")

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

    def character_document(self, reference: str) -> CharacterDocument:
        """What is stored of the character `id` or `id@version`; `UnknownCharacter` if nothing."""
        record = _resolve(self._characters, reference, UnknownCharacter)
        with _damage_named("character", record):
            return CharacterDocument.model_validate(self._characters.read(record))

    def character(self, reference: str) -> Character:
        """The character `id` or `id@version`; `UnknownCharacter` if there is none."""
        document = self.character_document(reference)
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
    except StorageUnavailable:
        raise  # nothing is damaged; the same request may succeed in a moment
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
    except StorageUnavailable:
        raise
    except StorageError as error:
        raise DamagedRecord(str(error)) from error
