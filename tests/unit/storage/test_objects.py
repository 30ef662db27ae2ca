from pathlib import Path

import pytest

from models.storage import FolderStore, ObjectExists, ObjectNotFound, StorageError


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_what_is_written_is_read_back(store: FolderStore) -> None:
    store.write("jobs/2026/a.json", b"{}")
    assert store.read("jobs/2026/a.json") == b"{}"


def test_write_replaces_and_create_does_not(store: FolderStore) -> None:
    store.write("a", b"1")
    store.write("a", b"2")
    with pytest.raises(ObjectExists):
        store.create("a", b"3")
    assert store.read("a") == b"2"


def test_no_temporary_file_is_left_or_listed(store: FolderStore) -> None:
    store.write("a/b", b"1")
    store.create("a/c", b"2")
    with pytest.raises(ObjectExists):
        store.create("a/c", b"3")
    (store.root / "a" / ".unfinished").write_bytes(b"")
    assert store.children("a") == ["b", "c"]
    assert sorted(path.name for path in (store.root / "a").iterdir()) == [".unfinished", "b", "c"]


def test_a_write_that_fails_leaves_nothing_behind(store: FolderStore) -> None:
    (store.root / "folder").mkdir()
    with pytest.raises(OSError):
        store.write("folder", b"1")
    assert [path.name for path in store.root.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a\0b", "가"],
)
def test_a_key_can_not_leave_the_root(store: FolderStore, key: str) -> None:
    with pytest.raises(StorageError, match="not a storage key"):
        store.read(key)


def test_a_missing_object_is_not_found(store: FolderStore) -> None:
    with pytest.raises(ObjectNotFound):
        store.read("nothing/here")
    assert store.children("nothing") == []


def test_a_relative_root_is_refused() -> None:
    with pytest.raises(StorageError, match="absolute"):
        FolderStore(Path("data"))
