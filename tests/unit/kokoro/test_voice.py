from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from models.kokoro.errors import InvalidVoice
from models.kokoro.voice import EMOTIONS, KokoroVoice
from tests.unit.kokoro.conftest import VOICES


@pytest.mark.parametrize("voice_id", ["bujang", "sinip"])
def test_shipped_voice_is_valid_and_current(voice_id: str) -> None:
    version = json.loads((VOICES / voice_id / "current.json").read_text())["version"]
    voice = KokoroVoice.from_document(
        json.loads((VOICES / voice_id / version / "voice.json").read_text())
    )
    assert (voice.voice_id, voice.version, voice.language) == (voice_id, version, "ko")
    assert {"neutral", "happiness", "sadness"} <= set(voice.variants)


def test_voice_survives_pickling(document: dict[str, Any]) -> None:
    voice = KokoroVoice.from_document(document)
    assert pickle.loads(pickle.dumps(voice)) == voice


def test_emotion_is_a_change_of_neutral(document: dict[str, Any]) -> None:
    document["kokoro"] |= {"speed": 0.9, "pitch_semitones": -1.0}
    document["kokoro"]["emotions"] = {"sadness": {"speed": 0.8, "pitch_semitones": -0.5}}
    sadness = KokoroVoice.from_document(document).variant("sadness")
    assert sadness.speed == pytest.approx(0.72)
    assert sadness.pitch_semitones == -1.5
    assert sadness.prosody == document["kokoro"]["prosody"]


def test_every_emotion_finds_a_variant_the_nearest_before_neutral(document: dict[str, Any]) -> None:
    document["kokoro"]["emotions"] = {"happiness": {"speed": 1.2}}
    voice = KokoroVoice.from_document(document)
    found = {emotion: voice.variant(emotion) for emotion in EMOTIONS}
    assert found.pop("surprise") == found.pop("happiness") == voice.variants["happiness"]
    assert set(map(id, found.values())) == {id(voice.variants["neutral"])}


def test_unknown_emotion_is_refused_with_the_known_ones(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidVoice, match="'boredom' is not one of neutral, happiness"):
        KokoroVoice.from_document(document).variant("boredom")


def test_pause_follows_the_last_mark(document: dict[str, Any]) -> None:
    document["kokoro"]["pauses_ms"] = {".": 300, "?": 400}
    voice = KokoroVoice.from_document(document)
    assert [voice.pause_s(text) for text in ("네. ", "네?", "네", "")] == [0.3, 0.4, 0.0, 0.0]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("engine", "zonos", "engine is 'zonos', not 'kokoro'"),
        ("voice_id", 7, "voice_id must be a text, got 7"),
        ("mood", "good", "voice: unknown key 'mood'"),
        ("kokoro", [], "kokoro must be an object, got list"),
        ("kokoro.volume", 1, "kokoro: unknown key 'volume'"),
        ("kokoro.timbre", {}, "timbre mixes 0 styles"),
        ("kokoro.timbre", {"jm_kumo": 0.5}, "weights of timbre sum to 0.5, not to 1"),
        ("kokoro.prosody", {"jm_kumo": 3.0, "jf_alpha": -2.0}, "jm_kumo must be a number from -1"),
        ("kokoro.speed", True, "speed must be a number from 0.5 to 2, got True"),
        ("kokoro.speed", float("nan"), "speed must be a number"),
        ("kokoro.pitch_semitones", "1", "pitch_semitones must be a number"),
        ("kokoro.pauses_ms", {"...": 100}, "'...' is not a single punctuation mark"),
        ("kokoro.emotions", {"neutral": {}}, "emotions.neutral: not one of happiness"),
        ("kokoro.emotions", {"anger": {"timbre": {}}}, "emotions.anger: unknown key 'timbre'"),
    ],
)
def test_malformed_document_is_refused_and_says_where(
    document: dict[str, Any], path: str, value: Any, message: str
) -> None:
    *parents, key = path.split(".")
    target = document
    for parent in parents:
        target = target[parent]
    target[key] = value
    with pytest.raises(InvalidVoice) as caught:
        KokoroVoice.from_document(document)
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["consent", "licence", "kokoro"])
def test_missing_key_is_named(document: dict[str, Any], key: str) -> None:
    del document[key]
    with pytest.raises(InvalidVoice, match=f"key '{key}' is missing"):
        KokoroVoice.from_document(document)
