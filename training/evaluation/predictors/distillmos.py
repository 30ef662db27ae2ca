"""DistillMOS: a small network that predicts the mean opinion score of a recording.

Stahl & Gamper, "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech
Quality Assessment" (ICASSP 2025). Only its weights are used; the package around them needs
torchaudio, whose wheels break beside a CPU build of torch.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLE_RATE = 16_000
WINDOW_SAMPLES = 122_880
_MAX_HOP_SAMPLES = 16_000

_N_FFT = 320
_HOP_LENGTH = 160
_NUM_BINS = _N_FFT // 2 + 1
_COMPRESSION = 0.3
_SMALLEST = 1e-12

_CHANNELS = (64, 64, 128, 256, 256, 256)
_CNN_DIM = 1024
_DIM = 200
_NUM_FRAMES = 384

# (published, ours), applied in this order to each key.
_RENAMED = (
    ("cnn.cnn.", "cnn."),
    ("transformer_pool_attn.", ""),
    ("transformer.transformer_encoder.", "encoder."),
    ("transformer.norm.", "frame_norm."),
    ("transformer.linear_proj.", "projection."),
    ("transformer.position_encoding.pe", "positions"),
    ("norm_input.", "input_norm."),
    ("norm_trans.", "output_norm."),
    ("pool.linear1.", "attention.0."),
    ("pool.linear2.", "attention.2."),
    ("pool.linear3.", "score."),
)


class QualityNetwork(nn.Module):
    """Compressed spectrum through a convolution stack, a transformer and attention pooling."""

    positions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.cnn = _convolutions()
        self.input_norm = nn.BatchNorm1d(_CNN_DIM)
        self.frame_norm = nn.BatchNorm1d(_CNN_DIM)
        self.projection = nn.Linear(_CNN_DIM, _DIM)
        layer = nn.TransformerEncoderLayer(_DIM, 8, 2 * _DIM, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 7, enable_nested_tensor=False)
        self.output_norm = nn.BatchNorm1d(_DIM)
        self.attention = nn.Sequential(nn.Linear(_DIM, 2 * _DIM), nn.ReLU(), nn.Linear(2 * _DIM, 1))
        self.score = nn.Linear(_DIM, 1)
        self.register_buffer("positions", torch.zeros(1, _NUM_FRAMES, _DIM))

    def forward(self, windows: Tensor) -> Tensor:
        """Scores of (window, 122880) at 16 kHz, each normalised to its peak: (window,), 1 to 5."""
        features = self.cnn(compressed_spectrum(windows)).flatten(1, 2)  # (window, channel, frame)
        features = self.frame_norm(self.input_norm(features)).transpose(1, 2)
        hidden = self.encoder(self.projection(features) + self.positions)
        hidden = self.output_norm(hidden.transpose(1, 2)).transpose(1, 2)
        weights = self.attention(hidden).softmax(dim=1)
        pooled = (weights * hidden).sum(dim=1)
        return 1 + 4 * torch.sigmoid(self.score(pooled).squeeze(1))


class DistillMos:
    """Predicts the opinion score of recordings of any length.

    Args:
        folder: files of `packaged.DISTILLMOS`.
    """

    def __init__(self, folder: Path) -> None:
        published = torch.load(folder / "distill_mos_v7.pt", "cpu", weights_only=True)
        self._network = QualityNetwork()
        state = {_our_name(key): value for key, value in published["model"].items()}
        self._network.load_state_dict(state, strict=True)
        self._network.eval().requires_grad_(False)

    @torch.no_grad()
    def predict(self, waveform: NDArray[np.float32]) -> float:
        """Opinion score, 1 to 5, of (samples,) at 16 kHz; the mean over windows of 7.68 s."""
        windows = overlapping_windows(torch.from_numpy(waveform))
        windows = windows / (windows.abs().amax(dim=1, keepdim=True) + 1e-8)
        # One at a time: the first layers take 30 MB each for every window.
        return float(torch.cat([self._network(window) for window in windows.split(1)]).mean())


def overlapping_windows(waveform: Tensor) -> Tensor:
    """Cut (samples,) into evenly spread windows: (window, 122880); zeros follow a short one."""
    waveform = F.pad(waveform, (0, max(0, WINDOW_SAMPLES - len(waveform))))
    excess = len(waveform) - WINDOW_SAMPLES
    num_windows = math.ceil(excess / _MAX_HOP_SAMPLES) + 1
    starts = [int(part * excess) for part in np.linspace(0, 1, num_windows)]
    return torch.stack([waveform[start : start + WINDOW_SAMPLES] for start in starts])


def compressed_spectrum(windows: Tensor) -> Tensor:
    """Complex spectrum, its magnitude raised to 0.3: (window, real or imaginary, bin, frame)."""
    edge = (_N_FFT - _HOP_LENGTH) // 2
    spectrum = torch.stft(
        F.pad(windows, (edge, edge), mode="reflect"),
        _N_FFT,
        _HOP_LENGTH,
        window=torch.hann_window(_N_FFT),
        center=False,
        return_complex=True,
    )
    parts = torch.stack((spectrum.real, spectrum.imag), dim=1)
    magnitude = spectrum.abs().clamp(min=_SMALLEST).unsqueeze(1)
    return magnitude**_COMPRESSION * parts / magnitude


def _convolutions() -> nn.Sequential:
    """All but the first halve the bins; the last halves the frames too."""
    layers: list[nn.Module] = []
    width = 2
    for idx, channels in enumerate(_CHANNELS):
        stride = (1 if idx == 0 else 2, 2 if idx == len(_CHANNELS) - 1 else 1)
        layers += [nn.Conv2d(width, channels, 3, stride, padding=(0, 1)), nn.LeakyReLU(0.1)]
        width = channels
    return nn.Sequential(*layers)


def _our_name(key: str) -> str:
    for published, ours in _RENAMED:
        key = key.replace(published, ours)
    return key
