"""Our own format: ``<name>.safetensors`` with the weights, ``<name>.json`` with the rest.

The JSON is written last and replaced atomically, so a reader that finds it finds all of it. What an
upstream file held besides weights is under ``extras``; tensors among that (an optimizer's state)
are in ``<name>.extras.safetensors``.
"""

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
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
from models.checkpoints.tree import from_json, to_json

FORMAT_VERSION = 1
_MAX_JSON_BYTES = 16 * 2**20


def write_native(json_path: Path, checkpoint: Checkpoint) -> None:
    """Write ``json_path`` and the safetensors beside it.

    Raises:
        ValueError: ``json_path`` does not end in ``.json``, or an extra cannot be kept.
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
    _save_tensors(_weights_path(json_path), checkpoint.state)
    if extra_tensors:
        _save_tensors(_extras_path(json_path), extra_tensors)
    partial = json_path.with_suffix(".json.partial")
    partial.write_text(json.dumps(description, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(partial, json_path)


def read_native(json_path: Path) -> Checkpoint:
    """Read what ``write_native`` wrote.

    Raises:
        CheckpointError: a file is missing, damaged or too large, or keys and shapes are not those
            of the network the configuration describes.
    """
    description = _read_json(json_path)
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
    extra_tensors = _load_tensors(_extras_path(json_path)) if has_extras else {}
    try:
        extras = from_json(description.get("extras", {}), extra_tensors)
    except KeyError as error:
        raise CheckpointError(_extras_path(json_path), f"lacks tensor {error}") from error
    container = description.get("container")
    if container is not None and not isinstance(container, str):
        raise CheckpointError(json_path, f"container is a {type(container).__name__}, not a name")
    state = _load_tensors(_weights_path(json_path))
    checkpoint = Checkpoint(kind, config, state, container, extras)
    check_state(json_path, checkpoint)
    return checkpoint


def _weights_path(json_path: Path) -> Path:
    return json_path.with_suffix(".safetensors")


def _extras_path(json_path: Path) -> Path:
    return json_path.with_suffix(".extras.safetensors")


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    # safetensors refuses tensors that share memory, as views of one storage do.
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    path.chmod(0o644)  # safetensors leaves its file readable by the owner alone


def _load_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(path, "no such file")
    if path.stat().st_size > MAX_ARCHIVE_BYTES:
        raise CheckpointError(path, f"has more than {MAX_ARCHIVE_BYTES} bytes")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(path, f"is damaged: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(path, "no such file")
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise CheckpointError(path, f"has more than {_MAX_JSON_BYTES} bytes")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"is not JSON: {error}") from error
    if not isinstance(description, dict):
        raise CheckpointError(path, f"holds a {type(description).__name__}, not an object")
    return description
