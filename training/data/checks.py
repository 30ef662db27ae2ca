"""What can be heard to be wrong with a clip, measured on its samples."""

from __future__ import annotations

import math

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps
from numpy.typing import NDArray

from training.data.config import Checks
from training.data.sources import Rejected

VAD_RATE_HZ = 16_000
MAX_PEAK = 2.2
"""The reference refuses louder float audio."""

_FRAME_S = 0.02
_SILENCE_DB = -100.0
_LOUD, _QUIET = 95, 5  # percentiles of the frames' levels
_FLAT = 1e-4  # of the peak: samples nearer to each other than that are cut off, not swinging
_MIN_FLAT_RUN = 3

Samples = NDArray[np.float32]


def check_length(duration_s: float, checks: Checks) -> None:
    """Raises Rejected for a clip that is too short or too long."""
    if duration_s < checks.min_s:
        raise Rejected("too short", f"{duration_s:.2f} s; at least {checks.min_s:g} s")
    if duration_s > checks.max_s:
        raise Rejected("too long", f"{duration_s:.1f} s; at most {checks.max_s:g} s")


def check_sound(samples: Samples, sample_rate: int, checks: Checks) -> None:
    """Raises Rejected for a clip that is clipped, too quiet or noisy."""
    peak = float(np.abs(samples).max())
    if peak > MAX_PEAK:
        raise Rejected("clipped", f"peak {peak:.2f}; at most {MAX_PEAK}")
    if (share := clipped_share(samples)) > checks.max_clipped_share:
        raise Rejected(
            "clipped", f"{share:.2%} of the samples; at most {checks.max_clipped_share:.2%}"
        )
    loud_db, quiet_db = levels_db(samples, sample_rate)
    if loud_db < checks.min_level_db:
        raise Rejected("too quiet", f"{loud_db:.0f} dB; at least {checks.min_level_db:g} dB")
    if loud_db - quiet_db < checks.min_snr_db:
        raise Rejected(
            "noisy",
            f"loud frames are {loud_db - quiet_db:.0f} dB over quiet ones; "
            f"at least {checks.min_snr_db:g} dB",
        )


def check_speech(samples_16k: Samples, checks: Checks) -> None:
    """Raises Rejected for a clip in which the voice detector hears too little speech."""
    spoken = sum(stop - start for start, stop in speech_spans(samples_16k)) / VAD_RATE_HZ
    if spoken < checks.min_speech_s:
        raise Rejected("no speech", f"{spoken:.2f} s of speech; at least {checks.min_speech_s:g} s")


def check_speaking_rate(num_phonemes: int, duration_s: float, checks: Checks) -> None:
    """Raises Rejected when the transcript is too long or too short for the audio."""
    rate = num_phonemes / duration_s
    low, high = checks.phonemes_per_s
    if not low <= rate <= high:
        raise Rejected(
            "speaking rate", f"{rate:.1f} phonemes a second; {low:g} to {high:g} are plausible"
        )


def clipped_share(samples: Samples) -> float:
    """Part of the samples that lie in a flat run at the positive or negative peak."""
    is_peak = np.abs(samples) >= (1 - _FLAT) * np.abs(samples).max()
    if not np.abs(samples).max() > 0:
        return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_peak, [False]]).astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= _MIN_FLAT_RUN].sum() / len(samples))


def levels_db(samples: Samples, sample_rate: int) -> tuple[float, float]:
    """RMS level of the loud and of the quiet frames of 20 ms, dB below full scale."""
    frame = max(1, round(_FRAME_S * sample_rate))
    num_frames = max(1, len(samples) // frame)
    frames = samples[: num_frames * frame].reshape(num_frames, -1)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    floor = 10 ** (_SILENCE_DB / 10)
    loud, quiet = np.percentile(10 * np.log10(np.maximum(power, floor)), [_LOUD, _QUIET])
    return float(loud), float(quiet)


def speech_spans(
    samples_16k: Samples,
    max_speech_s: float = math.inf,
    min_silence_s: float = 0.3,
    margin_s: float = 0.1,
) -> list[tuple[int, int]]:
    """Where the voice detector hears speech: (first sample, end), in order, not overlapping.

    Args:
        samples_16k: (samples,) at 16 kHz.
        max_speech_s: longer speech is cut at its last short silence.
        min_silence_s: a silence that separates two spans.
        margin_s: silence kept at either side of a span.
    """
    options = VadOptions(
        max_speech_duration_s=max_speech_s,
        min_silence_duration_ms=round(min_silence_s * 1000),
        speech_pad_ms=round(margin_s * 1000),
    )
    # The detector works in place on the last samples of what it is given.
    found = get_speech_timestamps(samples_16k.copy(), options, VAD_RATE_HZ)
    return [(int(span["start"]), int(span["end"])) for span in found]
