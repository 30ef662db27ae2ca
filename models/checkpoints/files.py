"""Reading JSON and safetensors of unknown origin: bounded, and strictly what a network asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.checkpoints.errors import CheckpointError

WEIGHT_DTYPES = (torch.float16, torch.bfloat16, torch.float32)

_MAX_JSON_BYTES = 16 * 2**20
# The header lists the tensors: some 100 bytes each, for a few thousand at most.
_MAX_HEADER_BYTES = 4 * 2**20
_HEADER_LENGTH_BYTES = 8
_MAX_LISTED_KEYS = 5


def read_json_object(path: Path) -> dict[str, Any]:
    """What a JSON file holds.

    Raises:
        CheckpointError: it is missing, too large, no JSON, or holds no object.
    """
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


def read_tensors(path: Path, max_bytes: int) -> dict[str, Tensor]:
    """What a safetensors file holds, on the CPU.

    Raises:
        CheckpointError: it is missing, too large, or damaged.
    """
    if not path.is_file():
        raise CheckpointError(path, "no such file")
    if path.stat().st_size > max_bytes:
        raise CheckpointError(path, f"has more than {max_bytes} bytes")
    with path.open("rb") as file:
        num_header_bytes = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
    if num_header_bytes > _MAX_HEADER_BYTES:
        raise CheckpointError(
            path, f"is damaged: a header of {num_header_bytes} bytes; at most {_MAX_HEADER_BYTES}"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(path, f"is damaged: {error}") from error


def check_weights(path: Path, network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Compare every key, shape and dtype with the network's; its own tensors may be on "meta".

    Raises:
        CheckpointError: something is missing, left over, of another shape, not a weight, or not
            finite, as the weights of a training that diverged are.
    """
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    for what, keys in (
        ("lacks", expected.keys() - state.keys()),
        ("has unknown", state.keys() - expected.keys()),
    ):
        if keys:
            raise CheckpointError(path, f"{what} weights: {_listed(keys)}")
    for key, tensor in state.items():
        if tuple(tensor.shape) != expected[key]:
            raise CheckpointError(
                path, f"{key} has shape {tuple(tensor.shape)}; its sizes ask for {expected[key]}"
            )
        if tensor.dtype not in WEIGHT_DTYPES:
            raise CheckpointError(path, f"{key} is {tensor.dtype}, not a floating-point weight")
        if not tensor.isfinite().all():
            raise CheckpointError(path, f"{key} has values that are not finite")


def _listed(keys: set[str]) -> str:
    shown = ", ".join(sorted(keys)[:_MAX_LISTED_KEYS])
    rest = len(keys) - _MAX_LISTED_KEYS
    return f"{shown} and {rest} more" if rest > 0 else shown
