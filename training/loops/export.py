"""Weights that leave a run: for fine-tuning as they are, for publishing without what serves no one.

RUN/last/, RUN/best/    <name>.json + .safetensors, all networks in full precision
RUN/export/             s1 or s2 alone, without the posterior encoder
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints import Checkpoint, read_native, write_native
from training.loops.args import ExportArgs

_SERVED = ("s1", "s2")
_TRAINING_ONLY = "posterior_encoder."
# What makes semantic tokens: rounded, it would make others than S1 has learned.
_EXACT = ("ssl_proj.", "codebook.")


def write_weights(folder: Path, weights: dict[str, Checkpoint]) -> None:
    """Write every network of a run into ``folder``; each appears whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, checkpoint in weights.items():
        write_native(folder / f"{name}.json", checkpoint)


def export(run: Path, args: ExportArgs) -> list[Path]:
    """Make ``RUN/export`` from the best weights, or the last where none were measured.

    Returns:
        The JSON files that were written.

    Raises:
        CheckpointError: the run's weights cannot be read, or have diverged.
    """
    best = run / "best"
    is_best = args.weights == "best" and any((best / f"{name}.json").exists() for name in _SERVED)
    source = best if is_best else run / "last"
    target = run / "export"
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name in _SERVED:
        if (source / f"{name}.json").exists():
            checkpoint = read_native(source / f"{name}.json")
            write_native(target / f"{name}.json", for_serving(checkpoint, args.precision))
            written.append(target / f"{name}.json")
    return written


def for_serving(checkpoint: Checkpoint, precision: str) -> Checkpoint:
    """Without training's own parts, and in half precision if asked where that loses nothing big."""
    state = {
        name: tensor if precision == "fp32" or name.startswith(_EXACT) else _halved(tensor)
        for name, tensor in checkpoint.state.items()
        if not name.startswith(_TRAINING_ONLY)
    }
    return replace(checkpoint, state=state)


def _halved(tensor: Tensor) -> Tensor:
    half = tensor.to(torch.float16)
    return half if bool(half.isfinite().all()) else tensor
