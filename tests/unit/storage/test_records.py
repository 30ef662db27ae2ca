import json
from pathlib import Path

import pytest

from models.storage import (
    FolderStore,
    InvalidReference,
    RecordId,
    StorageError,
    UnknownRecord,
    VersionedRecords,
)


def publish(store: FolderStore, name: str, version: str, **content: str) -> None:
    store.write(f"voices/{name}/{version}/voice.json", json.dumps(content).encode())
    store.write(f"voices/{name}/current.json", json.dumps({"version": version}).encode())


@pytest.fixture
def user(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "user")


@pytest.fixture
def embedded(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "embedded")
    publish(store, "bujang", "1", origin="embedded")
    return store


@pytest.fixture
def voices(user: FolderStore, embedded: FolderStore) -> VersionedRecords:
    return VersionedRecords([user, embedded], "voices", "{version}/voice.json")


def test_a_bare_id_means_the_newest_version(user: FolderStore, voices: VersionedRecords) -> None:
    publish(user, "narrator", "1")
    publish(user, "narrator", "2")
    assert voices.resolve("narrator") == RecordId("narrator", "2")
    assert voices.resolve("narrator@1") == RecordId("narrator", "1")


def test_the_upper_layer_wins_and_the_lower_one_stays_reachable(
    user: FolderStore, voices: VersionedRecords
) -> None:
    publish(user, "bujang", "2", origin="user")
    assert voices.read(voices.resolve("bujang")) == {"origin": "user"}
    assert voices.read(voices.resolve("bujang@1")) == {"origin": "embedded"}


def test_a_record_without_its_document_is_not_published(
    user: FolderStore, voices: VersionedRecords
) -> None:
    user.write("voices/half/current.json", b'{"version": "1"}')
    with pytest.raises(UnknownRecord):
        voices.resolve("half")


def test_an_unknown_id_is_answered_without_what_others_have_stored(
    voices: VersionedRecords,
) -> None:
    with pytest.raises(UnknownRecord) as refused:
        voices.resolve("boojang")
    assert str(refused.value) == "voices: nothing is called 'boojang'"


@pytest.mark.parametrize("reference", ["", "..", "a/b", "A", "bujang@", "bujang@../1", "x" * 65])
def test_a_malformed_reference_is_refused(voices: VersionedRecords, reference: str) -> None:
    with pytest.raises(InvalidReference):
        voices.resolve(reference)


def test_a_damaged_document_is_named(user: FolderStore, voices: VersionedRecords) -> None:
    user.write("voices/torn/1/voice.json", b"{")
    with pytest.raises(StorageError, match="voices/torn/1/voice.json is not JSON"):
        voices.read(RecordId("torn", "1"))
