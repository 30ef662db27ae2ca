"""The log-mel front end of the Zonos speaker network, on the HTK scale."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

SAMPLE_RATE = 16_000
NUM_MELS = 80

_N_FFT = 512
_WINDOW_SAMPLES = 400  # 25 ms
_HOP_SAMPLES = 160  # 10 ms
_MAX_HZ = 8_000.0
_FLOOR = 1e-6


def log_mel(waveform: Tensor) -> Tensor:
    """``ln(power + 1e-6)`` of each band, less its mean over the clip.

    Frames are centred, and the ends of the clip reflected.

    Args:
        waveform: (batch, samples) at 16 kHz, more than 256 samples.

    Returns:
        (batch, mel, frame) of ``1 + samples // 160`` frames.

    Raises:
        ValueError: the clip is too short to reflect.
    """
    if waveform.shape[-1] <= _N_FFT // 2:
        raise ValueError(
            f"a speaker needs more than {_N_FFT // 2} samples at 16 kHz, not {waveform.shape[-1]}"
        )
    spectrum = torch.stft(
        waveform,
        _N_FFT,
        _HOP_SAMPLES,
        _WINDOW_SAMPLES,
        torch.hann_window(_WINDOW_SAMPLES).to(waveform),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    power = spectrum.real.square() + spectrum.imag.square()
    mels = torch.log(_filters().to(waveform) @ power + _FLOOR)
    return mels - mels.mean(dim=-1, keepdim=True)


@cache
def _filters() -> Tensor:
    """(mel, bin) triangles that reach 1, between points evenly spaced in mels."""
    bins_hz = torch.linspace(0, SAMPLE_RATE / 2, _N_FFT // 2 + 1, dtype=torch.float64)
    highest_mel = 2595.0 * torch.log10(torch.tensor(1.0 + _MAX_HZ / 700.0, dtype=torch.float64))
    mels = torch.linspace(0, float(highest_mel), NUM_MELS + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    low, centre, high = (edges[i : i + NUM_MELS, None] for i in range(3))
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    return torch.minimum(rising, falling).clamp(min=0).float()
