"""What is broken in a recording, found in its samples alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Fault = Literal["not finite", "silence", "clipping", "cut off", "gap"]

_FRAME_S = 0.02
_EDGE_FRAME_S = 0.005
_SOUND_DBFS = -50.0
_MIN_SOUND_S = 0.1
_MAX_GAP_S = 2.0
_FULL_SCALE = 0.999
_MAX_FULL_SCALE_SHARE = 5e-4
# Speech fades within its last 5 ms: in 157 whole clips of the teachers to -24.6 dB of their loudest
# part or below; of the same clips cut anywhere, three quarters end louder.
_MAX_END_DB = -20.0
_FLOOR = 1e-12


def find_faults(waveform: NDArray[np.float32], sample_rate: int) -> tuple[Fault, ...]:
    """Faults of a mono recording `(samples,)` in [-1, 1], none if it is sound.

    - not finite: a sample is no number;
    - silence: less than 0.1 s is louder than -50 dBFS;
    - clipping: more than 0.05 % of the samples are at full scale;
    - cut off: it ends in the middle of a sound; silence after it does not hide that;
    - gap: more than 2 s of silence between two sounds.
    """
    if not np.isfinite(waveform).all():
        return ("not finite",)
    levels = _levels_db(waveform, sample_rate, _FRAME_S)
    sounding = np.nonzero(levels > _SOUND_DBFS)[0]
    if len(sounding) * _FRAME_S < _MIN_SOUND_S:
        return ("silence",)
    faults: list[Fault] = []
    if np.mean(np.abs(waveform) >= _FULL_SCALE) > _MAX_FULL_SCALE_SHARE:
        faults.append("clipping")
    if _end_level_db(waveform, sample_rate) - levels.max() > _MAX_END_DB:
        faults.append("cut off")
    if (np.diff(sounding).max(initial=1) - 1) * _FRAME_S > _MAX_GAP_S:
        faults.append("gap")
    return tuple(faults)


def _end_level_db(waveform: NDArray[np.float32], sample_rate: int) -> float:
    """Level of the last 5 ms that can be heard."""
    levels = _levels_db(waveform, sample_rate, _EDGE_FRAME_S)
    return float(levels[np.nonzero(levels > _SOUND_DBFS)[0][-1]])


def _levels_db(
    waveform: NDArray[np.float32], sample_rate: int, frame_s: float
) -> NDArray[np.float64]:
    """RMS level of each whole frame, dBFS."""
    frame = round(frame_s * sample_rate)
    whole = waveform[: len(waveform) // frame * frame].astype(np.float64).reshape(-1, frame)
    return np.asarray(10 * np.log10(np.square(whole).mean(axis=1) + _FLOOR))
