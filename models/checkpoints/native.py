"""Our own format: ``<name>.safetensors`` with the weights, ``<name>.json`` with the rest.

The JSON is removed first and put in place last, so a reader finds all of a checkpoint, or none of
it, and never the parts of two. What an upstream file held besides weights is under ``extras``;
tensors among that (an optimizer's state) are in ``<name>.extras.safetensors``.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints.archive import MAX_ARCHIVE_BYTES
from models.checkpoints.checkpoint import (
    CONFIG_CLASSES,
    Checkpoint,
    Kind,
    check_state,
    config_from_json,
    config_to_json,
)
from models.checkpoints.errors import CheckpointError
from models.checkpoints.files import read_json_object, read_tensors
from models.checkpoints.replacing import replacing
from models.checkpoints.tree import from_json, to_json

FORMAT_VERSION = 1


def write_native(json_path: Path, checkpoint: Checkpoint) -> None:
    """Write ``json_path`` and the safetensors beside it.

    Raises:
        ValueError: ``json_path`` does not end in ``.json``, or an extra cannot be kept.
        OSError: the files cannot be written.
    """
    if json_path.suffix != ".json":
        raise ValueError(f"the name must end in .json, not {json_path.name!r}")
    extra_tensors: dict[str, Tensor] = {}
    description = {
        "format_version": FORMAT_VERSION,
        "kind": checkpoint.kind.value,
        "config": config_to_json(checkpoint.config),
        "container": checkpoint.container,
        "extras": to_json(checkpoint.extras, extra_tensors),
    }
    text = json.dumps(description, indent=1, ensure_ascii=False)
    extras_path = _extras_path(json_path)
    with ExitStack() as written:  # left from last to first: the JSON is entered first
        partial_json = written.enter_context(replacing(json_path))
        partial_json.write_text(text, encoding="utf-8")
        if extra_tensors:
            _save_tensors(written.enter_context(replacing(extras_path)), extra_tensors)
        _save_tensors(written.enter_context(replacing(_weights_path(json_path))), checkpoint.state)
        json_path.unlink(missing_ok=True)
        if not extra_tensors:
            extras_path.unlink(missing_ok=True)


def read_native(json_path: Path) -> Checkpoint:
    """Read what ``write_native`` wrote.

    Raises:
        CheckpointError: a file is missing, damaged or too large, or keys and shapes are not those
            of the network the configuration describes.
    """
    description = read_json_object(json_path)
    if description.get("format_version") != FORMAT_VERSION:
        found = description.get("format_version")
        raise CheckpointError(json_path, f"has format version {found}, not {FORMAT_VERSION}")
    try:
        kind = Kind(str(description.get("kind")))
    except ValueError as error:
        allowed = [kind.value for kind in Kind]
        raise CheckpointError(json_path, f"{error}; allowed: {allowed}") from error
    config = config_from_json(json_path, CONFIG_CLASSES[kind], description.get("config"))
    has_extras = _extras_path(json_path).is_file()
    extra_tensors = read_tensors(_extras_path(json_path), MAX_ARCHIVE_BYTES) if has_extras else {}
    extras = _read_extras(json_path, description.get("extras", {}), extra_tensors)
    container = description.get("container")
    if container is not None and not isinstance(container, str):
        raise CheckpointError(json_path, f"container is a {type(container).__name__}, not a name")
    state = read_tensors(_weights_path(json_path), MAX_ARCHIVE_BYTES)
    checkpoint = Checkpoint(kind, config, state, container, extras)
    check_state(json_path, checkpoint)
    return checkpoint


def _weights_path(json_path: Path) -> Path:
    return json_path.with_suffix(".safetensors")


def _extras_path(json_path: Path) -> Path:
    return json_path.with_suffix(".extras.safetensors")


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    # safetensors refuses tensors that share memory, as views of one storage do.
    separate = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    try:
        save_file(separate, path)
    except SafetensorError as error:  # what it makes of a full disk, too
        raise OSError(f"{path}: cannot be written: {error}") from error


def _read_extras(json_path: Path, value: Any, tensors: dict[str, Tensor]) -> dict[str, Any]:
    try:
        extras = from_json(value, tensors)
    except KeyError as error:
        raise CheckpointError(_extras_path(json_path), f"lacks tensor {error}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(json_path, f"its extras are malformed: {error}") from error
    if not isinstance(extras, dict):
        raise CheckpointError(json_path, f"extras is a {type(extras).__name__}, not an object")
    return extras
