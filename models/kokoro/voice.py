"""A voice as stored in voice.json: which style vectors, how fast, how high, how loud.

A style vector has two halves: the first shapes the sound of the voice (timbre), the second its
melody and rhythm (prosody). Both are mixtures of the network's own speakers. An emotion keeps the
timbre and changes prosody, speed and pitch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.kokoro.errors import InvalidVoice

ENGINE = "kokoro"
NEUTRAL = "neutral"

# The emotions a caller can name, and what a voice without a variant of that name uses, in order.
_NEAREST: Mapping[str, tuple[str, ...]] = {
    "neutral": (),
    "happiness": ("surprise",),
    "sadness": ("fear",),
    "surprise": ("happiness",),
    "anger": ("disgust",),
    "fear": ("sadness",),
    "disgust": ("anger",),
    "other": (),
}
EMOTIONS = tuple(_NEAREST)

_WEIGHT_RANGE = (-1.0, 2.0)
_SPEED_RANGE = (0.5, 2.0)
_PITCH_RANGE = (-6.0, 6.0)
_LOUDNESS_RANGE = (-40.0, -10.0)
_TRUE_PEAK_RANGE = (-20.0, 0.0)
_PAUSE_RANGE_MS = (0.0, 3000.0)
_MAX_STYLES = 16

_IDENTITY = (
    *("voice_id", "version", "engine", "language"),
    *("description", "licence", "consent", "created_at"),
)
_DOCUMENT_KEYS = frozenset((*_IDENTITY, "kokoro"))
_SETTING_KEYS = frozenset(
    ("timbre", "prosody", "speed", "pitch_semitones", "loudness_lufs", "true_peak_dbtp")
    + ("pauses_ms", "emotions")
)
_VARIANT_KEYS = frozenset(("prosody", "speed", "pitch_semitones"))

Mixture = Mapping[str, float]


@dataclass(frozen=True)
class Variant:
    """How one emotion sounds: a prosody mixture, a speed factor, a pitch shift."""

    prosody: Mixture
    speed: float
    pitch_semitones: float


@dataclass(frozen=True)
class KokoroVoice:
    """A parsed voice document, immutable; the weights of each mixture sum to 1."""

    voice_id: str
    version: str
    language: str
    timbre: Mixture
    loudness_lufs: float
    true_peak_dbtp: float
    pauses_ms: Mapping[str, float]
    variants: Mapping[str, Variant]
    engine: str = ENGINE

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> KokoroVoice:
        """Check a voice document and make it a voice.

        Raises:
            InvalidVoice: a key is missing or unknown, or a value is out of its range; says which.
        """
        _check_keys(document, "voice", _DOCUMENT_KEYS, required=_DOCUMENT_KEYS)
        for key in _IDENTITY:
            if not isinstance(document[key], str) or not document[key]:
                raise InvalidVoice(f"{key} must be a text, got {document[key]!r}")
        if document["engine"] != ENGINE:
            raise InvalidVoice(f"engine is {document['engine']!r}, not {ENGINE!r}")
        settings = _mapping(document["kokoro"], "kokoro")
        _check_keys(settings, "kokoro", _SETTING_KEYS, required=_SETTING_KEYS)
        return cls(
            voice_id=document["voice_id"],
            version=document["version"],
            language=document["language"],
            timbre=_mixture(settings["timbre"], "timbre"),
            loudness_lufs=_number(settings, "loudness_lufs", _LOUDNESS_RANGE),
            true_peak_dbtp=_number(settings, "true_peak_dbtp", _TRUE_PEAK_RANGE),
            pauses_ms=_pauses(settings["pauses_ms"]),
            variants=_variants(settings),
        )

    @property
    def emotions(self) -> tuple[str, ...]:
        """Emotions that a request may name; `variant` finds one for each."""
        return EMOTIONS

    def variant(self, emotion: str) -> Variant:
        """The variant for `emotion`, else the nearest that the voice has, else neutral.

        Raises:
            InvalidVoice: there is no such emotion.
        """
        if emotion not in _NEAREST:
            raise InvalidVoice(f"emotion {emotion!r} is not one of {', '.join(EMOTIONS)}")
        for name in (emotion, *_NEAREST[emotion]):
            if name in self.variants:
                return self.variants[name]
        return self.variants[NEUTRAL]

    def pause_s(self, text: str) -> float:
        """Silence after a segment that ends like `text`; 0 where its last mark has no pause."""
        return self.pauses_ms.get(text.rstrip()[-1:], 0.0) / 1000


def _variants(settings: Mapping[str, Any]) -> Mapping[str, Variant]:
    """The neutral variant, and each emotion as its change of it."""
    neutral = Variant(
        prosody=_mixture(settings["prosody"], "prosody"),
        speed=_number(settings, "speed", _SPEED_RANGE),
        pitch_semitones=_number(settings, "pitch_semitones", _PITCH_RANGE),
    )
    variants = {NEUTRAL: neutral}
    for emotion, change in _mapping(settings["emotions"], "emotions").items():
        where = f"emotions.{emotion}"
        if emotion not in _NEAREST or emotion == NEUTRAL:
            allowed = ", ".join(name for name in EMOTIONS if name != NEUTRAL)
            raise InvalidVoice(f"{where}: not one of {allowed}")
        change = _mapping(change, where)
        _check_keys(change, where, _VARIANT_KEYS)
        prosody = change.get("prosody")
        variants[emotion] = Variant(
            prosody=neutral.prosody if prosody is None else _mixture(prosody, f"{where}.prosody"),
            speed=neutral.speed * _number(change, "speed", _SPEED_RANGE, default=1.0),
            pitch_semitones=neutral.pitch_semitones
            + _number(change, "pitch_semitones", _PITCH_RANGE, default=0.0),
        )
    return variants


def _check_keys(
    mapping: Mapping[str, Any],
    where: str,
    known: frozenset[str],
    required: frozenset[str] = frozenset(),
) -> None:
    if unknown := sorted(set(mapping) - known):
        raise InvalidVoice(
            f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    if missing := sorted(required - set(mapping)):
        raise InvalidVoice(f"{where}: key {missing[0]!r} is missing")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidVoice(f"{where} must be an object, got {type(value).__name__}")
    return value


def _mixture(value: Any, where: str) -> Mixture:
    weights = _mapping(value, where)
    if not 1 <= len(weights) <= _MAX_STYLES:
        raise InvalidVoice(f"{where} mixes {len(weights)} styles; allowed are 1 to {_MAX_STYLES}")
    mixture = {name: _number(weights, name, _WEIGHT_RANGE) for name in weights}
    if not math.isclose(total := sum(mixture.values()), 1.0, abs_tol=1e-6):
        raise InvalidVoice(f"the weights of {where} sum to {total:g}, not to 1")
    return mixture


def _pauses(value: Any) -> Mapping[str, float]:
    pauses = _mapping(value, "pauses_ms")
    if wrong := [mark for mark in pauses if len(mark) != 1]:
        raise InvalidVoice(f"pauses_ms: {wrong[0]!r} is not a single punctuation mark")
    return {mark: _number(pauses, mark, _PAUSE_RANGE_MS) for mark in pauses}


def _number(
    mapping: Mapping[str, Any],
    key: str,
    limits: tuple[float, float],
    default: float | None = None,
) -> float:
    value = mapping.get(key, default)
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidVoice(f"{key} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)
