"""Files that want to do harm, and files that are broken: refused, with nothing run."""

import io
import os
import pickle
import struct
import subprocess
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints.archive import read_archive
from models.checkpoints.errors import CheckpointError


class Calls:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


def archive_of(path: Path, pickled: bytes) -> Path:
    """A zip archive as ``torch.save`` lays it out, with a pickle of our choice."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
    return path


def global_reference(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


@pytest.mark.parametrize(
    "make",
    [
        lambda mark: Calls(os.system, f"touch {mark}"),
        lambda mark: Calls(subprocess.check_call, ["touch", mark]),
        lambda mark: Calls(eval, f"open({mark!r}, 'w')"),
        lambda mark: Calls(exec, f"open({mark!r}, 'w').close()"),
        lambda mark: Calls(open, mark, "w"),
        lambda mark: Calls(getattr, Calls(__import__, "os"), "system"),
        lambda mark: Calls(torch.load, mark),
        lambda mark: Calls(torch.hub.load, "owner/repository", "model"),
        # PyTorch's weights-only unpickler calls these two: the first would fill 100 GB.
        lambda mark: Calls(bytearray, 10**11),
        lambda mark: Calls(torch.Tensor, 10**11),
    ],
    ids="system subprocess eval exec open import load hub bytearray tensor".split(),
)
@pytest.mark.parametrize("place", ["whole", "weight", "config", "key"])
def test_a_pickle_that_calls_something_is_refused_and_nothing_runs(
    tmp_path: Path, make: Callable[[str], Calls], place: str
) -> None:
    mark = tmp_path / "ran"
    call = make(str(mark))
    content: Any = {"whole": call, "key": {call: 1}}.get(place, {place: call})
    path = tmp_path / "voice.ckpt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"voice\.ckpt: was refused and not run: .*GLOBAL"):
        read_archive(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("utils", "HParamsEvil"),
        ("utils", "HParams.update"),
        ("evil.utils", "HParams"),
        ("GPT_SoVITS.utils", "HParams"),
        ("builtins", "getattr"),
        ("models.checkpoints.archive", "read_archive"),
    ],
)
def test_only_one_global_is_mapped(tmp_path: Path, module: str, name: str) -> None:
    path = archive_of(tmp_path / "file.pth", global_reference(module, name) + b".")
    with pytest.raises(CheckpointError, match="was refused and not run"):
        read_archive(path)


@pytest.mark.parametrize("protocol", [0, 4])
def test_a_global_named_in_another_way_is_refused(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps(Calls(os.system, f"touch {mark}"), protocol=protocol)
    path = archive_of(tmp_path / "file.pth", content)
    with pytest.raises(CheckpointError, match="was refused and not run: (STACK_)?GLOBAL"):
        read_archive(path)
    assert not mark.exists()


def test_the_mapped_settings_class_runs_nothing_it_is_given(tmp_path: Path) -> None:
    settings = global_reference("utils", "HParams")
    new, build = b")\x81", b"b"  # NEWOBJ with no arguments; BUILD with a state
    state = pickle.dumps({"__setstate__": 1, "__class__": 2, "batch_size": 4}, protocol=2)[2:-1]
    path = archive_of(
        tmp_path / "file.pth",
        b"\x80\x02}X\x01\x00\x00\x00a" + settings + new + state + build + b"s.",
    )
    content = read_archive(path)
    assert content == {"a": {"__setstate__": 1, "__class__": 2, "batch_size": 4}}


def test_the_mapping_does_not_outlive_a_load(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    path = archive_of(tmp_path / "file.pth", global_reference("utils", "HParams") + b".")
    with pytest.raises(CheckpointError, match="holds a type, which is no data"):
        read_archive(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
        torch.load(path, weights_only=True)


def test_concurrent_loads_do_not_take_the_mapping_from_each_other(tmp_path: Path) -> None:
    settings = b"\x80\x02}X\x01\x00\x00\x00a" + global_reference("utils", "HParams") + b")\x81s."
    path = archive_of(tmp_path / "file.pth", settings)
    results: list[Any] = []

    def load() -> None:
        for _ in range(20):
            results.append(read_archive(path))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"a": {}}] * 80


def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save({"weight": {"a": torch.arange(1000.0)}, "info": "x"}, whole)
    content = whole.getvalue()
    path = tmp_path / "cut.pth"
    for length in range(0, len(content) - 1, 97):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"cut\.pth: "):
            read_archive(path)


def test_a_file_with_a_flipped_byte_is_read_or_refused_but_never_fails_otherwise(
    tmp_path: Path,
) -> None:
    whole = io.BytesIO()
    torch.save({"weight": {"a": torch.arange(20.0)}, "info": "x"}, whole)
    content = whole.getvalue()
    path = tmp_path / "flipped.pth"
    for position in range(0, len(content), 7):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 0x5A]) + content[position + 1 :]
        )
        try:
            read_archive(path)
        except CheckpointError as error:
            assert "flipped.pth: " in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"P", "is not a PyTorch archive: it begins with b'P'"),
        (b"PK\x03\x04 and nothing more", "damaged or truncated"),
        (b"RIFF....WAVEfmt ", "it begins with b'RI'"),
        (pickle.dumps({"weight": {}}), r"is not a PyTorch archive"),
        (b'{"weight": {}}', r"is not a PyTorch archive"),
    ],
)
def test_a_file_that_is_no_archive_is_named_with_its_fault(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_archive(path)
    assert caught.value.path == path


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.ckpt", tmp_path):
        with pytest.raises(CheckpointError, match="no such file"):
            read_archive(path)


def test_an_archive_without_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_archive(path)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), "text", None])
def test_an_archive_of_something_else_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "file.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="not a dictionary"):
        read_archive(path)


def test_a_file_over_the_bound_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.pth"
    torch.save({"weight": torch.zeros(10_000)}, path)
    with pytest.raises(CheckpointError, match="at most 1000 are read"):
        read_archive(path, max_bytes=1000)


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="compressed members"):
        read_archive(path)


def test_members_that_claim_more_than_the_bound_are_refused(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "claims.pth", b"\x80\x02}.")
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")  # the first entry of the central directory
    content[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="at most 1073741824 are read"):
        read_archive(path)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    nested: list[Any] = []
    for _ in range(100):
        nested = [nested]
    path = tmp_path / "deep.pth"
    torch.save({"config": nested}, path)
    with pytest.raises(CheckpointError, match="nested deeper than 32 levels"):
        read_archive(path)


def test_a_list_that_is_repeated_without_end_is_refused(tmp_path: Path) -> None:
    repeated: list[Any] = []
    for _ in range(20):
        repeated = [repeated] * 20  # 20**20 values in a pickle of 2 kB
    path = tmp_path / "repeated.pth"
    torch.save({"config": repeated}, path)
    with pytest.raises(CheckpointError, match="holds more than 262144 values"):
        read_archive(path)


def test_a_list_within_itself_is_refused(tmp_path: Path) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    path = tmp_path / "cycle.pth"
    torch.save({"config": cycle}, path)
    with pytest.raises(CheckpointError, match="nested deeper than 32 levels"):
        read_archive(path)


@pytest.mark.parametrize("entry", ["weight", "optimizer"])
def test_tensors_that_share_memory_count_each_time(tmp_path: Path, entry: str) -> None:
    shared = torch.zeros(1000)
    path = tmp_path / "shared.pth"
    torch.save({entry: {str(i): shared for i in range(100)}}, path)
    with pytest.raises(CheckpointError, match="claims more than 50000 bytes of tensors"):
        read_archive(path, max_bytes=50_000)


def test_a_large_pickle_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "lists.pth", b"\x80\x02(" + b"]" * 5_000_000 + b"l.")
    with pytest.raises(CheckpointError, match="its pickle has 5000005 bytes; at most 4194304"):
        read_archive(path)


@pytest.mark.parametrize("second", ["archive/data.pkl", "archive/DATA.PKL", "other/data.pkl"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_pickles_of_which_one_would_go_unread_are_refused(tmp_path: Path, second: str) -> None:
    path = archive_of(tmp_path / "two.pth", b"\x80\x02}.")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(second, global_reference("os", "system") + b".")
    with pytest.raises(CheckpointError, match=r"has 2 members data\.pkl"):
        read_archive(path)


def test_an_archive_with_something_behind_it_is_refused(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "comment.pth", b"\x80\x02}.")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"what another reader may take for the table of members"
    with pytest.raises(CheckpointError, match="has bytes after its archive"):
        read_archive(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"info": {(1, 2): 3}}, "a dictionary key that is a tuple"),
        ({"info": {torch.zeros(1): 3}}, "a dictionary key that is a Tensor"),
        ({"info": torch.float16}, "GLOBAL torch.float16"),
    ],
)
def test_what_is_neither_data_nor_weights_is_refused(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = tmp_path / "file.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        read_archive(path)


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save({"weight": torch.arange(4.0)}, whole)
    # BININT1 4, TUPLE1: the shape (4,); replaced by (200,) on a storage of 16 bytes.
    with zipfile.ZipFile(whole) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert members["data.pkl"].count(b"K\x04\x85") == 1
    members["data.pkl"] = members["data.pkl"].replace(b"K\x04\x85", b"K\xc8\x85")
    path = tmp_path / "larger.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    with pytest.raises(CheckpointError, match="cannot be read: .*storage"):
        read_archive(path)
