"""Even loudness of a voice that streams: its gain is known before the first sample."""

from __future__ import annotations

import math

import numpy as np
import torch

from deployments.driver.speech_engine import Waveform
from models.audio.loudness import integrated_loudness_lufs

TARGET_LUFS = -18.0
"""What the embedded Kokoro voices are brought to as well."""

_MAX_GAIN_DB = 24.0
_BLOCK_S = 0.4  # the gating block of BS.1770
# Measurements of one voice on two machines may differ in the last bits; their gains do not.
_GAIN_STEP_DB = 0.1
# Below the knee nothing changes; above it, loudness beyond full scale is pressed down.
_KNEE = 0.75


def gain_to_target(waveform: Waveform, sample_rate: int) -> float:
    """The factor that brings speech to `TARGET_LUFS` (ITU-R BS.1770-4); 1 for silence.

    Args:
        waveform: (samples,); what is shorter than a gating block is measured as if repeated.
        sample_rate: Hz.
    """
    if len(waveform) == 0:
        return 1.0
    repeats = math.ceil(_BLOCK_S * sample_rate / len(waveform))
    loudness = integrated_loudness_lufs(torch.from_numpy(np.tile(waveform, repeats)), sample_rate)
    if not math.isfinite(loudness):
        return 1.0
    gain_db = min(max(TARGET_LUFS - loudness, -_MAX_GAIN_DB), _MAX_GAIN_DB)
    return float(10 ** (round(gain_db / _GAIN_STEP_DB) * _GAIN_STEP_DB / 20))


def apply_gain(waveform: Waveform, gain: float) -> Waveform:
    """Scale, and bend what would exceed full scale; every sample by itself, so chunks may be cut
    anywhere."""
    louder = waveform * np.float32(gain)
    excess = np.maximum(np.abs(louder) - _KNEE, 0) / (1 - _KNEE)
    bent = np.sign(louder) * (_KNEE + (1 - _KNEE) * np.tanh(excess))
    return np.where(excess > 0, bent, louder).astype(np.float32)
