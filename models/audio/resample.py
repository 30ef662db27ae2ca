"""Windowed-sinc resampling, equal to the reference path's.

The embeddings of a voice depend on how its clip was resampled, so clips that feed a network go
through this resampler; audio on its way out can use any good one.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_ZERO_CROSSINGS = 6
_ROLLOFF = 0.99


def resample(waveform: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Change the sample rate by convolution with a Hann-windowed sinc.

    With ``o`` and ``n`` the two rates over their greatest common divisor,
    ``c = 0.99 * min(o, n)`` and ``W = ceil(6 o / c)``, output phase ``p`` has the taps
    ``(c / o) * sinc(u) * cos^2(pi u / 12)`` at ``u = (i / o - p / n) * c`` clamped to [-6, 6],
    for ``i = -W .. W + o - 1``.

    Args:
        waveform: (..., samples) float.
        from_hz: its sample rate.
        to_hz: the wanted sample rate.

    Returns:
        (..., ceil(samples * to_hz / from_hz)); the input itself when the rates are equal.

    Raises:
        ValueError: a rate is not positive.
    """
    if from_hz <= 0 or to_hz <= 0:
        raise ValueError(f"rates are {from_hz} and {to_hz} Hz; both must be greater than 0")
    divisor = math.gcd(from_hz, to_hz)
    old, new = from_hz // divisor, to_hz // divisor
    if old == new:
        return waveform
    kernels, width = _phase_kernels(old, new)
    num_samples = waveform.shape[-1]
    rows = waveform.reshape(math.prod(waveform.shape[:-1]), 1, num_samples)
    padded = F.pad(rows, (width, width + old))
    phases = F.conv1d(padded, kernels.to(waveform), stride=old)
    # (row, phase, step) -> (row, step * phase): the phases interleave to the new rate.
    num_out = math.ceil(new * num_samples / old)
    out = phases.transpose(1, 2).flatten(1)[:, :num_out]
    return out.reshape(*waveform.shape[:-1], num_out)


def _phase_kernels(old: int, new: int) -> tuple[Tensor, int]:
    """(new, 1, 2 * width + old) taps in float32, computed in float64, and ``width``."""
    cutoff = _ROLLOFF * min(old, new)
    width = math.ceil(_ZERO_CROSSINGS * old / cutoff)
    taps = torch.arange(-width, width + old, dtype=torch.float64) / old
    phases = torch.arange(new, dtype=torch.float64) / new
    u = ((taps - phases[:, None]) * cutoff).clamp(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = torch.cos(u * (math.pi / _ZERO_CROSSINGS / 2)).square()
    kernels = torch.sinc(u) * window * (cutoff / old)
    return kernels.unsqueeze(1).float(), width
