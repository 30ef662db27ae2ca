"""Stage 2: codes to sound and back, through the Descript audio codec at 44.1 kHz.

dac = read_dac(Path("dac"))                   # config.json and model.safetensors as published
waveform = dac.decode(codes)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from models.checkpoints.errors import CheckpointError
from models.checkpoints.files import check_weights, read_json_object, read_tensors
from models.zonos.codes import CODEBOOK_SIZE, NUM_CODEBOOKS, SAMPLE_RATE, SAMPLES_PER_FRAME

if TYPE_CHECKING:  # it takes seconds and memory, which only those who decode have to spend
    from transformers import DacModel

_MAX_WEIGHT_BYTES = 2**30  # the published codec has 0.3 GB
_MAX_CHANNELS = 4096
_SIZES = ("encoder_hidden_size", "hidden_size", "decoder_hidden_size", "codebook_dim")
# What everything else here relies on. The library's own default rate is another.
_FIXED: dict[str, Any] = {
    "sampling_rate": SAMPLE_RATE,
    "n_codebooks": NUM_CODEBOOKS,
    "codebook_size": CODEBOOK_SIZE,
    "downsampling_ratios": [2, 4, 8, 8],
    "upsampling_ratios": [8, 8, 4, 2],
}


@dataclass(frozen=True)
class DacSizes:
    """Widths of the networks; the defaults are the published one's."""

    encoder_hidden_size: int = 64
    hidden_size: int = 1024
    decoder_hidden_size: int = 1536
    codebook_dim: int = 8

    def __post_init__(self) -> None:
        for name in _SIZES:
            if not 1 <= getattr(self, name) <= _MAX_CHANNELS:
                raise ValueError(f"{name} is {getattr(self, name)}; 1 to {_MAX_CHANNELS}")


class Dac:
    """The codec. Holds weights only; calls may overlap.

    Args:
        model: of the sizes that `empty_dac` builds.
    """

    def __init__(self, model: DacModel) -> None:
        self.model = model.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.dtype
        return dtype

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Sound of codes.

        Args:
            codes: (batch, frame, codebook) int64 in [0, 1024).

        Returns:
            (batch, 512 * frame) float32, nominally in [-1, 1].

        Raises:
            ValueError: another shape, or a code out of range.
        """
        if codes.ndim != 3 or codes.shape[2] != NUM_CODEBOOKS or not codes.numel():
            raise ValueError(
                f"codes must be (batch, frame, {NUM_CODEBOOKS}), not {tuple(codes.shape)}"
            )
        if not 0 <= int(codes.min()) <= int(codes.max()) < CODEBOOK_SIZE:
            raise ValueError(f"codes must lie in [0, {CODEBOOK_SIZE})")
        # (batch, frame, codebook) to (batch, codebook, frame), the codec's layout.
        waveform: Tensor = self.model.decode(audio_codes=codes.mT.to(self.device)).audio_values
        return waveform.float()

    @torch.inference_mode()
    def encode(self, waveform: Tensor) -> Tensor:
        """Codes of sound, to go on from.

        Args:
            waveform: (samples,) mono at 44.1 kHz; zeros are appended up to a whole frame.

        Returns:
            (frame, codebook) int64.

        Raises:
            ValueError: it is empty or has another shape.
        """
        if waveform.ndim != 1 or not waveform.numel():
            raise ValueError(f"sound must be (samples,), not {tuple(waveform.shape)}")
        padded = F.pad(waveform, (0, -len(waveform) % SAMPLES_PER_FRAME))
        encoded = self.model.encode(padded.to(self.device, self.dtype)[None, None])
        codes: Tensor = encoded.audio_codes
        return codes[0].T


def empty_dac(sizes: DacSizes) -> Dac:
    """A codec of these sizes with random weights."""
    from transformers import DacConfig, DacModel

    values = {name: getattr(sizes, name) for name in _SIZES}
    return Dac(DacModel(DacConfig(**_FIXED, **values)))


def read_dac(folder: Path, dtype: torch.dtype = torch.float32) -> Dac:
    """Read `config.json` and `model.safetensors` as published.

    Raises:
        CheckpointError: a file is missing or damaged, the codec is not the one Zonos speaks with,
            or a weight is missing, unknown, of another shape, or not finite.
    """
    sizes = _read_sizes(folder / "config.json")
    with torch.device("meta"):
        dac = empty_dac(sizes)
    weights_path = folder / "model.safetensors"
    state = read_tensors(weights_path, _MAX_WEIGHT_BYTES)
    check_weights(weights_path, dac.model, state)
    weights = {key: tensor.to(dtype) for key, tensor in state.items()}
    dac.model.load_state_dict(weights, strict=True, assign=True)
    return Dac(dac.model)


def write_dac(folder: Path, dac: Dac) -> None:
    """Write what `read_dac` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    dac.model.config.to_json_file(folder / "config.json", use_diff=False)
    save_file(dac.model.state_dict(), folder / "model.safetensors")


def _read_sizes(path: Path) -> DacSizes:
    values = read_json_object(path)
    for name, expected in _FIXED.items():
        if values.get(name) != expected:
            raise CheckpointError(path, f"{name} is {values.get(name)!r}, not {expected!r}")
    sizes = {name: values[name] for name in _SIZES if name in values}
    if not all(type(size) is int for size in sizes.values()):
        raise CheckpointError(path, f"sizes must be whole numbers: {sizes}")
    try:
        return DacSizes(**sizes)
    except ValueError as error:
        raise CheckpointError(path, str(error)) from error
