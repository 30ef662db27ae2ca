"""Even loudness between voices: BS.1770 loudness and true peak of a short utterance."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import soxr

from models.kokoro.model import SAMPLE_RATE, Waveform

_METER = pyloudnorm.Meter(SAMPLE_RATE)
_BLOCK_SAMPLES = int(0.4 * SAMPLE_RATE)  # the gating block of BS.1770
_OVERSAMPLING = 4  # BS.1770 annex 2


def integrated_lufs(waveform: Waveform) -> float:
    """Gated loudness; what is shorter than one gating block is measured as if repeated.

    Returns:
        LUFS; minus infinity for silence.
    """
    if not np.any(waveform):
        return -np.inf
    repeats = -(-_BLOCK_SAMPLES // len(waveform))
    return float(_METER.integrated_loudness(np.tile(waveform, repeats)))


def true_peak(waveform: Waveform) -> float:
    """Largest magnitude between the samples, found by fourfold oversampling."""
    oversampled = soxr.resample(waveform, SAMPLE_RATE, _OVERSAMPLING * SAMPLE_RATE)
    return float(max(np.abs(oversampled).max(), np.abs(waveform).max()))


def match_loudness(waveform: Waveform, lufs: float, max_true_peak_dbtp: float) -> Waveform:
    """Bring an utterance to a loudness, or to the peak limit if that is reached first.

    Args:
        waveform: `(samples,)`; silence is returned as it is.
        lufs: wanted integrated loudness.
        max_true_peak_dbtp: limit of the true peak, in dB below full scale.
    """
    loudness = integrated_lufs(waveform)
    if not np.isfinite(loudness):
        return waveform
    wanted = 10 ** ((lufs - loudness) / 20)
    allowed = 10 ** (max_true_peak_dbtp / 20) / true_peak(waveform)
    return waveform * np.float32(min(wanted, allowed))
