import json
from pathlib import Path

import pytest
import torch

from deployments.driver.catalog import Catalog
from deployments.errors import (
    DamagedRecord,
    InvalidInput,
    UnknownCharacter,
    UnknownVoice,
    UnsupportedEmotion,
    UnsupportedLanguage,
)
from models.storage import FolderStore, StorageUnavailable, embedded_store
from tests.gpt_sovits_store import publish_small_voices, random_features

SHIPPED = ["bujang", "bujang-sovits", "sinip", "sinip-sovits"]


@pytest.fixture
def user_store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def catalog(user_store: FolderStore) -> Catalog:
    return Catalog([user_store, embedded_store()])


def test_both_characters_ship_with_persona_and_voice(catalog: Catalog) -> None:
    for name in ("bujang", "sinip"):
        character = catalog.character(name)
        assert (character.persona.ref, str(character.voice.record)) == (f"{name}@3", f"{name}@1")


def test_a_published_voice_version_is_used_at_once(
    catalog: Catalog, user_store: FolderStore
) -> None:
    document = json.loads(embedded_store().read("voices/sinip/1/voice.json"))
    assert str(catalog.voice("sinip").record) == "sinip@1"
    user_store.write("voices/sinip/2/voice.json", json.dumps(document | {"version": "2"}).encode())
    user_store.write("voices/sinip/current.json", b'{"version": "2"}')
    assert str(catalog.voice("sinip").record) == "sinip@2"
    assert str(catalog.voice("sinip@1").record) == "sinip@1"


def test_either_half_of_a_character_can_be_replaced(catalog: Catalog) -> None:
    character = catalog.cast("bujang", None, "sinip")
    assert (character.persona.ref, character.voice.record.name) == ("bujang@3", "sinip")
    character = catalog.cast(None, "bujang", "sinip")
    assert (character.persona.ref, character.voice.record.name) == ("bujang@3", "sinip")


def test_a_speaker_alone_means_the_character_of_that_name(catalog: Catalog) -> None:
    assert catalog.cast(None, None, "sinip").persona.ref == "sinip@3"


def test_naming_too_little_is_answered_with_what_there_is(catalog: Catalog) -> None:
    with pytest.raises(InvalidInput, match="bujang, sinip"):
        catalog.cast(None, None, None)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"engine": "gpt_sovits"}'])
def test_a_damaged_voice_is_named_and_spoils_no_list(
    catalog: Catalog, user_store: FolderStore, content: str
) -> None:
    user_store.write("voices/mine/1/voice.json", content.encode())
    user_store.write("voices/mine/current.json", b'{"version": "1"}')
    with pytest.raises(DamagedRecord, match="mine"):
        catalog.voice("mine")
    assert [voice.record.name for voice in catalog.voices()] == SHIPPED
    with pytest.raises(UnknownVoice):
        catalog.voice("nobody")


@pytest.mark.parametrize("pointer", ["{", "[]", '{"version": 1}', '{"version": "../x"}'])
def test_a_damaged_pointer_to_the_newest_version_is_named(
    catalog: Catalog, user_store: FolderStore, pointer: str
) -> None:
    user_store.write("voices/mine/current.json", pointer.encode())
    with pytest.raises(DamagedRecord, match="voices/mine/current.json"):
        catalog.voice("mine")
    assert [voice.record.name for voice in catalog.voices()] == SHIPPED


def test_unknown_names_are_told_apart(catalog: Catalog) -> None:
    with pytest.raises(UnknownCharacter):
        catalog.character("nobody")
    with pytest.raises(UnknownVoice):
        catalog.voice("nobody")
    with pytest.raises(InvalidInput):
        catalog.voice("../sinip")


def test_a_voice_refuses_what_it_can_not_do(catalog: Catalog) -> None:
    voice = catalog.voice("sinip")
    with pytest.raises(UnsupportedLanguage, match="'ko'"):
        voice.style("fr", "neutral", 1.0)
    with pytest.raises(UnsupportedEmotion, match="happiness"):
        voice.style("ko", "bored", 1.0)


@pytest.fixture
def small_voices(tmp_path: Path) -> Catalog:
    return Catalog([publish_small_voices(tmp_path), embedded_store()])


def test_voices_of_both_engines_are_read(small_voices: Catalog) -> None:
    engines = {voice.record.name: voice.engine for voice in small_voices.voices()}
    assert engines["alto"] == "gpt_sovits"
    assert engines["bujang"] == "kokoro"
    assert small_voices.voice("alto").emotions == ("neutral", "happiness")
    assert "small@1" in small_voices.checkpoints()


def test_each_emotion_has_the_features_of_its_clip(small_voices: Catalog) -> None:
    voice = small_voices.voice("alto")
    style = voice.style("ko", {"surprise": 1.0}, 1.0)
    assert (style.emotion, style.emotion_idx) == ("happiness", 1)
    features = small_voices.features(voice, style.emotion_idx)
    assert torch.equal(features.speaker, random_features(11).speaker)
    assert torch.equal(features.prompt_tokens, random_features(11).prompt_tokens)


def test_a_voice_that_is_deleted_after_it_was_looked_up_is_unknown(tmp_path: Path) -> None:
    store = publish_small_voices(tmp_path)
    catalog = Catalog([store])
    voice = catalog.voice("alto")
    store.delete("voices/alto/1/reference-0.safetensors")
    with pytest.raises(DamagedRecord, match="alto@1"):
        catalog.features(voice, 0)
    store.delete("voices/alto/1/voice.json")
    with pytest.raises(UnknownVoice, match="alto@1"):
        catalog.features(voice, 0)


def test_damaged_features_are_named(tmp_path: Path) -> None:
    store = publish_small_voices(tmp_path)
    store.write("voices/alto/1/reference-0.safetensors", b"half")
    catalog = Catalog([store])
    with pytest.raises(DamagedRecord, match="alto@1"):
        catalog.features(catalog.voice("alto"), 0)


def test_a_seed_is_kept_or_drawn(catalog: Catalog) -> None:
    voice = catalog.voice("sinip")
    assert voice.style("ko", "neutral", 1.0, seed=7).seed == 7
    drawn = {voice.style("ko", "neutral", 1.0).seed for _ in range(5)}
    assert len(drawn) == 5
    assert max(drawn) < 2**53
    with pytest.raises(InvalidInput, match="64 bits"):
        voice.style("ko", "neutral", 1.0, seed=2**63)


class Unreachable(FolderStore):
    def read(self, key: str) -> bytes:
        raise StorageUnavailable(f"{key}: no answer")


def test_a_store_that_does_not_answer_is_not_called_damaged(tmp_path: Path) -> None:
    catalog = Catalog([Unreachable(tmp_path)])
    with pytest.raises(StorageUnavailable):
        catalog.voice("alto@1")
