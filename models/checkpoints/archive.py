"""Reading a third party's ``.ckpt`` or ``.pth`` without running anything it says.

PyTorch's weights-only unpickler knows tensors and plain containers. Published S2 exports name one
class more, ``utils.HParams``, the reference's nested settings; it is mapped to a bag of attributes
that has no behaviour. Any other global is refused. Sizes are checked before anything is allocated.
"""

import pickle
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
            global that is not allowed, or holds something other than a dictionary.
        UnsupportedVersionError: it is marked as another version of GPT-SoVITS.
    """
    _check_file(path, max_bytes)
    _check_members(path, max_bytes)
    content = _as_plain(path, _unpickle(path), depth=0)
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


def _check_members(path: Path, max_bytes: int) -> None:
    """PyTorch stores its members as they are; a compressed one could be of any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # zipfile raises more than BadZipFile on arbitrary bytes
        raise CheckpointError(path, f"the archive is damaged or truncated: {error}") from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(path, "has compressed members, which PyTorch does not write")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise CheckpointError(path, f"holds {total} bytes; at most {max_bytes} are read")


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


def _as_plain(path: Path, value: Any, depth: int) -> Any:
    """Settings to dictionaries, and a bound on nesting; everything else as it is."""
    if depth > _MAX_NESTING:
        raise CheckpointError(path, f"is nested deeper than {_MAX_NESTING} levels")
    if isinstance(value, _InertSettings):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _as_plain(path, item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_as_plain(path, item, depth + 1) for item in value)
    return value
