"""Even loudness between voices: BS.1770 loudness and true peak of a short utterance."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import soxr
from numpy.lib.stride_tricks import sliding_window_view

from models.kokoro.model import SAMPLE_RATE, Waveform

_METER = pyloudnorm.Meter(SAMPLE_RATE)
_BLOCK_SAMPLES = int(0.4 * SAMPLE_RATE)  # the gating block of BS.1770
_OVERSAMPLING = 4  # BS.1770 annex 2
_LIMITER_SAMPLES = int(0.003 * SAMPLE_RATE)  # before and after a peak; shorter would be audible
_LIMITER_WINDOW = np.hanning(2 * _LIMITER_SAMPLES + 3)[1:-1]
_LIMITER_WINDOW /= _LIMITER_WINDOW.sum()


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
    """Bring an utterance to a loudness; peaks that would go beyond the limit are pressed down.

    Args:
        waveform: `(samples,)`; silence is returned as it is.
        lufs: wanted integrated loudness.
        max_true_peak_dbtp: limit of the true peak, in dB below full scale.
    """
    loudness = integrated_lufs(waveform)
    if not np.isfinite(loudness):
        return waveform
    limit = 10 ** (max_true_peak_dbtp / 20)
    limited = _limit_peaks(waveform * np.float32(10 ** ((lufs - loudness) / 20)), limit)
    # What rises between two samples, is turned down as a whole.
    return limited * np.float32(min(1.0, limit / true_peak(limited)))


def _limit_peaks(waveform: Waveform, limit: float) -> Waveform:
    """Lower the gain around each sample beyond `limit`, early enough that it moves smoothly."""
    needed = np.minimum(1.0, limit / np.maximum(np.abs(waveform), limit))
    if needed.min() == 1.0:
        return waveform
    # Each sample of the smoothed gain averages minima that all saw the peak, so none exceeds it.
    held = sliding_window_view(
        np.pad(needed, 2 * _LIMITER_SAMPLES, mode="edge"), 2 * _LIMITER_SAMPLES + 1
    ).min(axis=-1)
    gain = np.convolve(held, _LIMITER_WINDOW, mode="valid")
    return np.asarray(waveform * gain, np.float32)
