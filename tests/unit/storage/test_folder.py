import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from models.storage import FolderStore, ObjectExists, StorageError, StorageUnavailable


def files(store: FolderStore) -> list[str]:
    """Everything below a store's root that is not a folder, hidden or not."""
    paths = (path for path in store.root.rglob("*") if not path.is_dir())
    return sorted(str(path.relative_to(store.root)) for path in paths)


def test_no_temporary_file_is_left_or_listed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b", b"1")
    store.create("a/c", b"2")
    with pytest.raises(ObjectExists):
        store.create("a/c", b"3")
    (tmp_path / "a" / ".foreign").write_bytes(b"")
    assert store.children("a") == ["b", "c"]
    assert files(store) == ["a/.foreign", "a/b", "a/c"]


def test_a_deleted_tree_leaves_no_file(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b/c", b"1")
    store.delete_tree("a/b")
    assert list((tmp_path / "a").iterdir()) == []
    assert files(store) == []


DYING = """
import os, shutil, signal, sys
from pathlib import Path
from models.storage import FolderStore

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

store = FolderStore(Path(sys.argv[1]))
"""


def killed_in(store: FolderStore, call: str) -> None:
    """Run a call in a process that is killed when it is half through."""
    run = subprocess.run([sys.executable, "-c", DYING + call, str(store.root)], check=False)
    assert run.returncode == -signal.SIGKILL


def hours_pass(store: FolderStore) -> None:
    for path in (store.root / ".unfinished").iterdir():
        os.utime(path, (0, 0))


@pytest.mark.parametrize(
    "call",
    [
        "os.replace = die; store.write('a/c', b'2')",
        "os.link = die; store.create('a/c', b'2')",
        "shutil.rmtree = die; store.delete_tree('v')",
    ],
)
def test_what_a_killed_process_leaves_behind_is_swept_in_time(tmp_path: Path, call: str) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b", b"1")
    store.write("v/clip", b"a voice that is deleted")
    killed_in(store, call)
    assert any(".unfinished" in file for file in files(store))
    hours_pass(store)
    store.sweep()
    assert set(files(store)) <= {"a/b", "v/clip"}
    assert list((tmp_path / ".unfinished").iterdir()) == []


def test_a_sweep_leaves_live_writers_and_foreign_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    store.write("a", b"1")
    replace = os.replace

    def replace_after_a_sweep(source: Path, target: Path) -> None:
        store.sweep()
        replace(source, target)

    (tmp_path / ".unfinished" / "notes").write_bytes(b"")
    hours_pass(store)
    monkeypatch.setattr(os, "replace", replace_after_a_sweep)
    store.write("a", b"2")
    assert store.read("a") == b"2"
    assert files(store) == [".unfinished/notes", "a"]


def test_a_tree_that_a_sweep_removes_first_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b/c", b"1")
    rmtree = shutil.rmtree

    def rmtree_after_a_sweep(folder: Path) -> None:
        monkeypatch.undo()
        store.sweep()
        rmtree(folder)

    monkeypatch.setattr(shutil, "rmtree", rmtree_after_a_sweep)
    store.delete_tree("a/b")
    assert files(store) == []


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
    assert files(FolderStore(tmp_path)) == []


def test_a_root_that_is_a_file_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match="cannot write below"):
        FolderStore(tmp_path / "root").check_writable()


def test_a_relative_root_is_refused() -> None:
    with pytest.raises(StorageError, match="absolute"):
        FolderStore(Path("data"))
