"""Log-mel spectrogram on the Slaney scale, as S2's reconstruction loss uses it."""

import math
from functools import lru_cache

import torch
from torch import Tensor

# Slaney's Auditory Toolbox (1998): linear up to 1 kHz, then 27 steps per factor of 6.4.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27
_LOG_FLOOR = 1e-5


def mel_filterbank(sample_rate: int, n_fft: int, num_mels: int, max_hz: float) -> Tensor:
    """Triangular filters from 0 Hz to ``max_hz``, each of unit area (Slaney's normalisation).

    Returns:
        (num_mels, n_fft // 2 + 1) float32.
    """
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    mels = torch.linspace(0, _hz_to_mel(max_hz), num_mels + 2, dtype=torch.float64)
    edges = _mel_to_hz(mels)
    low, centre, high = (edges[i : i + num_mels, None] for i in range(3))
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * (2.0 / (high - low))).float()


def log_mel_spectrogram(
    spec: Tensor, sample_rate: int = 32000, num_mels: int = 128, max_hz: float | None = None
) -> Tensor:
    """Natural log of the mel energies of a linear spectrogram, floored at 1e-5.

    Args:
        spec: (batch, bin, frame) magnitudes, see ``linear_spectrogram``.
        sample_rate: Hz of the signal the spectrogram was made of.
        num_mels: bands.
        max_hz: upper edge of the last band; half the sample rate when None.

    Returns:
        (batch, num_mels, frame).
    """
    filters = _cached_filterbank(
        sample_rate, 2 * (spec.shape[1] - 1), num_mels, max_hz or sample_rate / 2
    )
    return torch.log((filters.to(spec) @ spec).clamp(min=_LOG_FLOOR))


_cached_filterbank = lru_cache(maxsize=8)(mel_filterbank)


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return _BREAK_MEL + math.log(hz / _BREAK_HZ) / _LOG_STEP


def _mel_to_hz(mels: Tensor) -> Tensor:
    above = _BREAK_HZ * torch.exp(_LOG_STEP * (mels - _BREAK_MEL))
    return torch.where(mels < _BREAK_MEL, mels * _HZ_PER_MEL, above)
