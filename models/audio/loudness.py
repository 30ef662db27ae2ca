"""Integrated loudness after ITU-R BS.1770-4."""

import math
import warnings

import numpy as np
import pyloudnorm
import torch
from torch import Tensor

_BLOCK_S = 0.4


def integrated_loudness_lufs(waveform: Tensor, sample_rate: int) -> float:
    """Gated K-weighted loudness of mono audio in LUFS; ``-inf`` for silence.

    Args:
        waveform: (samples,) in [-1, 1].
        sample_rate: Hz.

    Raises:
        ValueError: shorter than one gating block of 0.4 s.
    """
    min_samples = math.ceil(_BLOCK_S * sample_rate)
    if len(waveform) < min_samples:
        raise ValueError(f"audio has {len(waveform)} samples; loudness needs {min_samples} or more")
    if not bool(waveform.any()):
        return -math.inf
    samples = waveform.detach().cpu().numpy().astype(np.float64)
    with warnings.catch_warnings():
        # The meter takes the logarithm of blocks that are silent before it gates them out.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(pyloudnorm.Meter(sample_rate).integrated_loudness(samples))


def normalize_loudness(
    waveform: Tensor, sample_rate: int, target_lufs: float, max_peak: float = 0.99
) -> Tensor:
    """Scale to a loudness, or as near to it as ``max_peak`` allows; silence is returned as it is.

    Args:
        waveform: (samples,).
        sample_rate: Hz.
        target_lufs: wanted integrated loudness.
        max_peak: largest absolute sample of the result.

    Raises:
        ValueError: shorter than one gating block of 0.4 s.
    """
    loudness = integrated_loudness_lufs(waveform, sample_rate)
    if not math.isfinite(loudness):
        return waveform
    gain = 10 ** ((target_lufs - loudness) / 20)
    return waveform * min(gain, max_peak / float(torch.max(waveform.abs())))
