"""The files GPT-SoVITS v2 publishes and trains with, to and from a ``Checkpoint``.

- S1 ``.ckpt``: ``weight`` (keys with a ``model.`` prefix), ``config``, ``info``
- S2 exported ``.pth``: ``weight`` (no posterior encoder), ``config``, ``info``
- S2 training ``G_*.pth``, ``D_*.pth``: ``model``, ``iteration``, ``optimizer``, ``learning_rate``,
  without a configuration
- S2 pretrained discriminators: ``weight``
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints.archive import MAX_ARCHIVE_BYTES, read_archive
from models.checkpoints.checkpoint import (
    Checkpoint,
    Config,
    DiscriminatorConfig,
    Kind,
    check_state,
)
from models.checkpoints.errors import CheckpointError, UnsupportedVersionError
from models.checkpoints.replacing import replacing
from models.gpt_sovits.s1 import upstream_keys as s1_keys
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s2 import upstream_keys as s2_keys
from models.gpt_sovits.s2.config import S2Config

State = dict[str, Tensor]

_S1_PREFIX = "model."
_WEIGHTS_OF_EXPORT, _WEIGHTS_OF_TRAINING = "weight", "model"
# Rows of the phoneme embedding in the first version, and its S1's.
_V1_PHONEMES, _V1_S1_PHONEMES = 322, 512
# Module names that only later versions have.
_LATER_VERSIONS = {
    "cfm.": "v3 or v4",
    "bridge.": "v3 or v4",
    "sv_emb.": "v2Pro or v2ProPlus",
    "discriminators.6.": "v2Pro or v2ProPlus",
}
_FULL_SCALE_CHANNELS = 16  # of the first discriminator's first convolution


def read_upstream(
    path: Path, config: S2Config | None = None, max_bytes: int = MAX_ARCHIVE_BYTES
) -> Checkpoint:
    """Read any of the files above; which one it is follows from its content.

    Args:
        path: a local file; nothing in it is run.
        config: sizes of a training file of a voice that is not full size.
        max_bytes: bound on the file and on what it holds.

    Raises:
        CheckpointError: the file is unreadable, or its keys and shapes are not those of the network
            its configuration describes.
        UnsupportedVersionError: it is of another version of GPT-SoVITS.
    """
    content = read_archive(path, max_bytes)
    container = _container_name(path, content)
    state = _tensors(path, content.pop(container))
    if any(key.startswith("discriminators.") for key in state):
        ours = s2_keys.from_upstream(state)
        sizes = _discriminator_config(state)
        checkpoint = Checkpoint(Kind.S2_DISCRIMINATORS, sizes, ours, container, content)
    elif any(key.startswith(_S1_PREFIX) for key in state):
        without_prefix = {key.removeprefix(_S1_PREFIX): tensor for key, tensor in state.items()}
        s1_config = _s1_config(path, content, without_prefix)
        ours = s1_keys.from_upstream(without_prefix)
        checkpoint = Checkpoint(Kind.S1, s1_config, ours, container, content)
    else:
        s2_config = config or _s2_config(path, content, state)
        ours = s2_keys.from_upstream(state)
        checkpoint = Checkpoint(Kind.S2, s2_config, ours, container, content)
    check_state(path, checkpoint)
    return checkpoint


def write_upstream(path: Path, checkpoint: Checkpoint) -> None:
    """Write a file that upstream's tools load. Plain dictionaries only: they need no class.

    A checkpoint that came from an upstream file gets back all that file held; one of our own is
    written as an export, with the configuration upstream would need.

    Raises:
        OSError: the file cannot be written; what was there before stays.
    """
    if checkpoint.kind is Kind.S1:
        renamed = s1_keys.to_upstream(checkpoint.state)
        weights = {_S1_PREFIX + key: tensor for key, tensor in renamed.items()}
    else:
        weights = s2_keys.to_upstream(checkpoint.state)
    is_own = checkpoint.container is None
    extras = _export_extras(checkpoint.config) if is_own else checkpoint.extras
    container = checkpoint.container or _WEIGHTS_OF_EXPORT
    contiguous = {key: tensor.contiguous() for key, tensor in weights.items()}
    # To an open file, for PyTorch reports a folder it cannot write to as a RuntimeError.
    with replacing(path) as partial, partial.open("wb") as file:
        torch.save({container: contiguous, **extras}, file)


def _container_name(path: Path, content: Mapping[str, Any]) -> str:
    for name in (_WEIGHTS_OF_EXPORT, _WEIGHTS_OF_TRAINING):
        if isinstance(content.get(name), dict):
            return name
    raise CheckpointError(
        path, f"has no dictionary 'weight' or 'model'; its entries are {sorted(map(str, content))}"
    )


def _tensors(path: Path, weights: dict[Any, Any]) -> State:
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(path, f"weight {key!r} is a {type(value).__name__}, not a tensor")
        if value.layout != torch.strided or not value.is_contiguous():
            raise CheckpointError(path, f"weight {key!r} is not a dense contiguous tensor")
    for start, version in _LATER_VERSIONS.items():
        if any(key.startswith(start) for key in weights):
            raise UnsupportedVersionError(path, version)
    return weights


def _s1_config(path: Path, content: dict[str, Any], state: State) -> S1Config:
    model = _model_section(path, content)
    if model.get("phoneme_vocab_size") == _V1_S1_PHONEMES:
        raise UnsupportedVersionError(path, "v1")
    bert = _matrix(path, state, "bert_proj.weight")
    try:
        return S1Config.from_upstream(model, bert_dim=bert.shape[1])
    except (TypeError, ValueError) as error:
        raise CheckpointError(path, f"bad configuration: {error}") from error


def _s2_config(path: Path, content: dict[str, Any], state: State) -> S2Config:
    """From the file's configuration where it has one, else the full size; some from the shapes."""
    phonemes = _matrix(path, state, "enc_p.text_embedding.weight")
    if len(phonemes) == _V1_PHONEMES:
        raise UnsupportedVersionError(path, "v1")
    codebook = _matrix(path, state, "quantizer.vq.layers.0._codebook.embed")
    sizes: dict[str, Any] = {
        "num_phonemes": len(phonemes),
        "codebook_size": len(codebook),
        "ssl_dim": codebook.shape[1],
    }
    if "config" not in content:
        return S2Config(**sizes)
    model = _model_section(path, content)
    version = model.get("version", "v2")
    if version != "v2":
        raise UnsupportedVersionError(path, str(version))
    data = content["config"].get("data")
    try:
        return S2Config.from_upstream(model, data if isinstance(data, dict) else None, **sizes)
    except (TypeError, ValueError) as error:
        raise CheckpointError(path, f"bad configuration: {error}") from error


def _discriminator_config(state: State) -> DiscriminatorConfig:
    first = state.get("discriminators.0.convs.0.bias")
    channels = len(first) if first is not None and first.dim() else _FULL_SCALE_CHANNELS
    return DiscriminatorConfig(width_divisor=max(1, _FULL_SCALE_CHANNELS // max(1, channels)))


def _model_section(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    config = content.get("config")
    model = config.get("model") if isinstance(config, dict) else None
    if not isinstance(model, dict):
        raise CheckpointError(path, "has no configuration with a 'model' section")
    return model


def _matrix(path: Path, state: State, key: str) -> Tensor:
    tensor = state.get(key)
    if tensor is None or tensor.dim() != 2:
        raise CheckpointError(path, f"is not a GPT-SoVITS voice: no matrix {key!r}")
    return tensor


def _export_extras(config: Config) -> dict[str, Any]:
    """The entries upstream's loaders read, for a checkpoint that never was an upstream file."""
    if isinstance(config, S1Config):
        data = {"max_sec": 54, "pad_val": config.end_token}
        return {"config": {"data": data, "model": config.to_upstream()}, "info": "GPT-e0"}
    if isinstance(config, S2Config):
        return {"config": _upstream_s2_config(config), "info": "0epoch_0iteration"}
    return {}


def _upstream_s2_config(config: S2Config) -> dict[str, Any]:
    return {
        "train": {"segment_size": config.segment_frames * config.hop_length},
        "data": {
            "sampling_rate": config.sample_rate,
            "filter_length": config.n_fft,
            "hop_length": config.hop_length,
            "win_length": config.n_fft,
            "n_speakers": 300,
        },
        "model": {
            "inter_channels": config.latent_channels,
            "hidden_channels": config.hidden_channels,
            "filter_channels": config.filter_channels,
            "n_heads": config.num_heads,
            "n_layers": config.num_layers,
            "kernel_size": config.kernel_size,
            "p_dropout": config.dropout,
            "resblock": "1",
            "resblock_kernel_sizes": list(config.resblock_kernel_sizes),
            "resblock_dilation_sizes": [list(row) for row in config.resblock_dilations],
            "upsample_rates": list(config.upsample_rates),
            "upsample_initial_channel": config.upsample_channels,
            "upsample_kernel_sizes": list(config.upsample_kernel_sizes),
            "gin_channels": config.speaker_dim,
            "semantic_frame_rate": "25hz",
            "freeze_quantizer": True,
            "version": "v2",
        },
    }
