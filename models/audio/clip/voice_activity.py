"""Where somebody speaks, by the Silero network that faster-whisper carries."""

from __future__ import annotations

import numpy as np
import soxr
from faster_whisper.vad import VadOptions, get_speech_timestamps
from torch import Tensor

_SILERO_RATE_HZ = 16_000
# A pause of 0.2 s divides two spans; each is widened by 30 ms, as soft onsets are found late.
_OPTIONS = VadOptions(min_speech_duration_ms=100, min_silence_duration_ms=200, speech_pad_ms=30)

Span = tuple[int, int]
"""First sample, and the one behind the last."""


def speech_spans(waveform: Tensor, sample_rate: int) -> list[Span]:
    """Spans of (samples,) mono audio in which there is speech, in order."""
    samples = waveform.numpy().astype(np.float32, copy=False)
    heard = soxr.resample(samples, sample_rate, _SILERO_RATE_HZ)
    if not len(heard):
        return []
    return [
        (
            found["start"] * sample_rate // _SILERO_RATE_HZ,
            min(len(samples), found["end"] * sample_rate // _SILERO_RATE_HZ),
        )
        for found in get_speech_timestamps(heard, _OPTIONS)
    ]
