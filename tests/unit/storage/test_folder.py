import errno
import os
import tempfile
from collections.abc import Callable
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


def test_a_tree_that_another_call_deletes_meanwhile_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b/c", b"1")
    mkdtemp = tempfile.mkdtemp

    def delayed(prefix: str, dir: Path) -> str:
        monkeypatch.undo()
        store.delete_tree("a/b")
        return mkdtemp(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkdtemp", delayed)
    store.delete_tree("a/b")
    assert list((tmp_path / "a").iterdir()) == []


def test_a_folder_that_vanishes_while_it_is_listed_has_no_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b", b"1")
    listdir = os.listdir

    def delayed(folder: Path) -> list[str]:
        monkeypatch.undo()
        store.delete_tree("a")
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", delayed)
    assert store.children("a") == []


@pytest.mark.parametrize("call", [FolderStore.size, FolderStore.children, FolderStore.delete])
def test_a_disk_that_refuses_is_unavailable_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[FolderStore, str], object]
) -> None:
    def refusing(*_: object, **__: object) -> object:
        raise PermissionError(errno.EACCES, "Permission denied")

    store = FolderStore(tmp_path)
    store.write("a/b", b"1")
    with monkeypatch.context() as broken:
        broken.setattr(Path, "stat", refusing)
        broken.setattr(os, "listdir", refusing)
        with pytest.raises(StorageUnavailable, match="Permission denied"):
            call(store, "a")


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
