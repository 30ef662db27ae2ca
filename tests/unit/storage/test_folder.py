from pathlib import Path

import pytest

from models.storage import FolderStore, ObjectExists, StorageError, StorageUnavailable


def test_no_temporary_file_is_left_or_listed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b", b"1")
    store.create("a/c", b"2")
    with pytest.raises(ObjectExists):
        store.create("a/c", b"3")
    (tmp_path / "a" / ".unfinished").write_bytes(b"")
    assert store.children("a") == ["b", "c"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [".unfinished", "b", "c"]


def test_a_deleted_tree_leaves_no_file(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b/c", b"1")
    store.delete_tree("a/b")
    assert list((tmp_path / "a").iterdir()) == []


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder" / "file").mkdir(parents=True)
    with pytest.raises(StorageError):
        FolderStore(tmp_path).write("folder", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_root_that_is_a_file_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match="cannot write below"):
        FolderStore(tmp_path / "root").check_writable()


def test_a_relative_root_is_refused() -> None:
    with pytest.raises(StorageError, match="absolute"):
        FolderStore(Path("data"))
