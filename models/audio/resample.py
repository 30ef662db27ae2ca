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
# Bounds the memory of long clips.
_OUTPUTS_AT_ONCE = 1 << 16


def resample(waveform: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Change the sample rate by convolution with a Hann-windowed sinc.

    With ``o`` and ``n`` the two rates over their greatest common divisor,
    ``c = 0.99 * min(o, n)`` and ``W = ceil(6 o / c)``, output phase ``p`` has the taps
    ``(c / o) * sinc(u) * cos^2(pi u / 12)`` at ``u = (i / o - p / n) * c`` clamped to [-6, 6],
    for ``i = -W .. W + o - 1``. Only taps inside the window are computed: rates without a common
    divisor have as many phases as the new rate has samples in a second.

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
    num_samples = waveform.shape[-1]
    num_out = math.ceil(new * num_samples / old)
    if not num_out or not waveform.numel():
        return waveform.new_zeros(*waveform.shape[:-1], num_out)
    kernels, first_inputs, width = _phase_kernels(old, new)
    kernels, first_inputs = kernels.to(waveform), first_inputs.to(waveform.device)
    padded = F.pad(waveform.reshape(-1, num_samples), (width, width + old))
    windows = padded.unfold(1, kernels.shape[1], 1)  # (row, start, tap), a view
    parts = []
    for start in range(0, num_out, _OUTPUTS_AT_ONCE):
        outputs = torch.arange(start, min(start + _OUTPUTS_AT_ONCE, num_out), device=padded.device)
        steps, phases = outputs // new, outputs % new
        taken = windows[:, steps * old + first_inputs[phases]]
        parts.append(torch.einsum("rot,ot->ro", taken, kernels[phases]))
    return torch.cat(parts, dim=1).reshape(*waveform.shape[:-1], num_out)


def _phase_kernels(old: int, new: int) -> tuple[Tensor, Tensor, int]:
    """Taps of every output phase, without the zeros outside the window.

    Returns:
        (new, 2 * width + 2) taps in float32, computed in float64; the (new,) first input of each
        phase, counted from ``width`` samples before the step; and ``width``.
    """
    cutoff = _ROLLOFF * min(old, new)
    width = math.ceil(_ZERO_CROSSINGS * old / cutoff)
    phases = torch.arange(new)
    first_inputs = phases * old // new
    taps = first_inputs[:, None] + torch.arange(-width, width + 2)
    times = taps.double() / old - phases[:, None].double() / new
    u = (times * cutoff).clamp(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = torch.cos(u * (math.pi / _ZERO_CROSSINGS / 2)).square()
    kernels = torch.sinc(u) * window * (cutoff / old)
    return kernels.float(), first_inputs, width
