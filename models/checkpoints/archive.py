"""Reading a third party's ``.ckpt`` or ``.pth`` without running anything it says.

The pickle's instructions are read first, without following them: only the few globals that a
checkpoint needs may be named. PyTorch's weights-only unpickler alone would also call
``bytearray(10**12)``. Published S2 exports name one class of their own, ``utils.HParams``, the
reference's nested settings; it is mapped to a bag of attributes that has no behaviour.

What a file can make us allocate is bounded: its members before they are read, its pickle, and the
values and tensors that come out, however often the pickle repeats them.
"""

import os
import pickle
import pickletools
import threading
import zipfile
from pathlib import Path
from typing import Any

import torch

from models.checkpoints.errors import CheckpointError, UnsupportedVersionError

# A full-size training checkpoint with its optimizer is about 640 MB.
MAX_ARCHIVE_BYTES = 2**30

_ZIP_MAGIC = b"PK"
# Later versions mark their exports by overwriting the zip magic.
_VERSION_MARKS = {b"03": "v3 LoRA", b"04": "v4 LoRA", b"05": "v2Pro", b"06": "v2ProPlus"}
_MAX_NESTING = 32
# A full-size training checkpoint with its optimizer has a pickle of 0.3 MB and 5,000 values. An
# instruction is one byte and can make an object of 100.
_MAX_PICKLE_BYTES = 4 * 2**20
_MAX_VALUES = 2**18
_STORAGES = "BFloat16 Half Float Double Bool Byte Char Short Int Long".split()
_ALLOWED_GLOBALS = {
    "collections OrderedDict",
    "torch Size",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
    "utils HParams",
    *(f"torch {dtype}Storage" for dtype in _STORAGES),
}
# Other ways to name a global, by what is on the stack or registered; PyTorch writes none of them.
_UNREADABLE_GLOBALS = {"STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"}
# The end of a zip archive without a comment. With it in its place, every reader finds the same
# table of members.
_END_RECORD_MAGIC, _END_RECORD_BYTES = b"PK\x05\x06", 22
# The mapping of a global can only be set for the process, so it is set for one load at a time.
_LOAD_LOCK = threading.Lock()


class _InertSettings:
    """What ``utils.HParams`` becomes: attributes and nothing else."""


def read_archive(path: Path, max_bytes: int = MAX_ARCHIVE_BYTES) -> dict[str, Any]:
    """The dictionary a PyTorch zip archive holds, tensors on the CPU, settings as dictionaries.

    Args:
        path: a local file.
        max_bytes: bound on the file and on everything in it.

    Raises:
        CheckpointError: the file is missing, empty, truncated, too large, not an archive, names a
            global that is not allowed, or holds something other than a dictionary of plain values
            and tensors.
        UnsupportedVersionError: it is marked as another version of GPT-SoVITS.
    """
    _check_file(path, max_bytes)
    _check_globals(path, _read_pickle(path, max_bytes))
    content = _PlainCopy(path, max_bytes).of(_unpickle(path))
    if not isinstance(content, dict):
        raise CheckpointError(path, f"holds a {type(content).__name__}, not a dictionary")
    return content


def _check_file(path: Path, max_bytes: int) -> None:
    if not path.is_file():
        raise CheckpointError(path, "no such file")
    num_bytes = path.stat().st_size
    if num_bytes == 0:
        raise CheckpointError(path, "the file is empty")
    if num_bytes > max_bytes:
        raise CheckpointError(path, f"has {num_bytes} bytes; at most {max_bytes} are read")
    with path.open("rb") as file:
        mark = file.read(2)
    if mark in _VERSION_MARKS:
        raise UnsupportedVersionError(path, _VERSION_MARKS[mark])
    if mark != _ZIP_MAGIC:
        raise CheckpointError(path, f"is not a PyTorch archive: it begins with {mark!r}, not b'PK'")


def _read_pickle(path: Path, max_bytes: int) -> bytes:
    """The archive's one pickle, once the sizes of all members are known to be bounded."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = _pickle_member(path, archive, max_bytes)
            return archive.read(member)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile raises more than BadZipFile on arbitrary bytes
        raise CheckpointError(path, f"the archive is damaged or truncated: {error}") from error


def _pickle_member(path: Path, archive: zipfile.ZipFile, max_bytes: int) -> zipfile.ZipInfo:
    with path.open("rb") as file:
        file.seek(-_END_RECORD_BYTES, os.SEEK_END)
        if file.read(len(_END_RECORD_MAGIC)) != _END_RECORD_MAGIC:
            raise CheckpointError(path, "has bytes after its archive, which PyTorch does not write")
    members = archive.infolist()
    # PyTorch stores its members as they are; a compressed one could be of any size.
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(path, "has compressed members, which PyTorch does not write")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise CheckpointError(path, f"holds {total} bytes; at most {max_bytes} are read")
    # PyTorch looks names up regardless of case.
    found = [m for m in members if m.filename.lower().rpartition("/")[2] == "data.pkl"]
    if len(found) != 1:
        raise CheckpointError(path, f"cannot be read: it has {len(found)} members data.pkl, not 1")
    if found[0].file_size > _MAX_PICKLE_BYTES:
        raise CheckpointError(
            path, f"its pickle has {found[0].file_size} bytes; at most {_MAX_PICKLE_BYTES} are read"
        )
    return found[0]


def _check_globals(path: Path, pickled: bytes) -> None:
    """Refuse a pickle that names anything it does not need; nothing is looked up or called."""
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            is_refused = opcode.name == "GLOBAL" and argument not in _ALLOWED_GLOBALS
            if is_refused or opcode.name in _UNREADABLE_GLOBALS:
                name = str(argument or "").replace(" ", ".")
                raise CheckpointError(path, f"was refused and not run: {opcode.name} {name}")
    except CheckpointError:
        raise
    except Exception as error:  # as do the instructions of a damaged pickle
        raise CheckpointError(path, f"cannot be read: {error}") from error


def _unpickle(path: Path) -> Any:
    with _LOAD_LOCK, torch.serialization.safe_globals([(_InertSettings, "utils.HParams")]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            reason = _refusal(error)
            raise CheckpointError(path, f"was refused and not run: {reason}") from error
        except Exception as error:  # the unpickler fails in many ways on arbitrary bytes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(path, f"cannot be read: {reason}") from error


def _refusal(error: pickle.UnpicklingError) -> str:
    """The line of PyTorch's long message that names the fault."""
    lines = [line.strip() for line in str(error).splitlines()]
    marks = ("GLOBAL", "Unsupported", "Trying to", "Can only")
    found = next((line for line in lines if any(mark in line for mark in marks)), lines[0])
    return found.removeprefix("WeightsUnpickler error:").strip()


class _PlainCopy:
    """Settings to dictionaries, all else as it is, with bounds on what there may be.

    A pickle can repeat one list or one tensor's memory in many places, so a small file can stand
    for any amount of either; each occurrence counts.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.num_values = 0
        self.num_tensor_bytes = 0

    def of(self, value: Any, depth: int = 0) -> Any:
        self.num_values += 1
        if self.num_values > _MAX_VALUES:
            raise CheckpointError(self.path, f"holds more than {_MAX_VALUES} values")
        if depth > _MAX_NESTING:
            raise CheckpointError(self.path, f"is nested deeper than {_MAX_NESTING} levels")
        if isinstance(value, _InertSettings):
            value = vars(value)
        if isinstance(value, dict):
            return {self._key(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            items = (self.of(item, depth + 1) for item in value)
            return list(items) if isinstance(value, list) else tuple(items)
        if isinstance(value, torch.Tensor):
            self._count(value)
        elif value is not None and not isinstance(value, bool | int | float | str):
            raise CheckpointError(self.path, f"holds a {type(value).__name__}, which is no data")
        return value

    def _key(self, key: Any) -> bool | int | float | str | None:
        if key is None or isinstance(key, bool | int | float | str):
            return key
        raise CheckpointError(self.path, f"has a dictionary key that is a {type(key).__name__}")

    def _count(self, tensor: torch.Tensor) -> None:
        self.num_tensor_bytes += tensor.numel() * tensor.element_size()
        if self.num_tensor_bytes > self.max_bytes:
            raise CheckpointError(self.path, f"claims more than {self.max_bytes} bytes of tensors")
