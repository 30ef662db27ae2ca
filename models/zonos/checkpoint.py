"""Checkpoints as they are published: ``config.json`` and ``model.safetensors`` in one folder."""

from __future__ import annotations

from pathlib import Path

import torch

from models.checkpoints.errors import CheckpointError
from models.checkpoints.files import check_weights, read_json_object, read_tensors
from models.zonos.config import HybridBackboneError, ZonosConfig
from models.zonos.network import Zonos

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"

# The published transformer has 3.25 GB in bfloat16; the same in float32 is the most there can be.
_MAX_WEIGHT_BYTES = 7 * 10**9


class HybridCheckpointError(CheckpointError):
    """The file is of the hybrid Zonos; only the transformer can be served."""


def read_zonos(folder: Path, dtype: torch.dtype = torch.float32) -> Zonos:
    """The network of a checkpoint, on the CPU, in eval mode.

    Args:
        dtype: what the weights are converted to; upstream runs everything in bfloat16.

    Raises:
        HybridCheckpointError: it is the hybrid.
        CheckpointError: a file is missing, damaged or too large, or keys and shapes are not those
            of the network the configuration describes.
    """
    config = _read_config(folder / CONFIG_NAME)
    with torch.device("meta"):
        network = Zonos(config)
    weights_path = folder / WEIGHTS_NAME
    state = read_tensors(weights_path, _MAX_WEIGHT_BYTES)
    check_weights(weights_path, network, state)
    weights = {key: tensor.to(dtype) for key, tensor in state.items()}
    network.load_state_dict(weights, strict=True, assign=True)
    return network.requires_grad_(False).eval()


def _read_config(path: Path) -> ZonosConfig:
    description = read_json_object(path)
    try:
        return ZonosConfig.from_upstream(description)
    except HybridBackboneError as error:
        raise HybridCheckpointError(path, str(error)) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(path, f"bad configuration: {error}") from error
