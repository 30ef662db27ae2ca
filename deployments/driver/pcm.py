"""Waveforms as bytes: 16-bit PCM and the WAV header in front of it."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_UNKNOWN_LENGTH = 0xFFFFFFFF
_BYTES_PER_SAMPLE = 2


def to_pcm16(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """16-bit samples of a waveform in [-1, 1]; louder is clipped."""
    samples: NDArray[np.int16] = np.rint(np.clip(waveform, -1.0, 1.0) * 32767.0).astype("<i2")
    return samples


def encode_pcm16(waveform: NDArray[np.float32]) -> bytes:
    """Little-endian signed 16-bit samples of a mono waveform in [-1, 1]."""
    return bytes(to_pcm16(waveform).tobytes())


def wav_header(sample_rate: int, num_samples: int | None = None) -> bytes:
    """The 44 bytes before the samples of a mono 16-bit WAV file.

    Args:
        sample_rate: Hz.
        num_samples: None while the audio is still being made; both length fields then hold their
            largest value, which players take as "until the end of the stream".
    """
    if num_samples is None:
        riff_bytes = data_bytes = _UNKNOWN_LENGTH
    else:
        data_bytes = num_samples * _BYTES_PER_SAMPLE
        riff_bytes = 36 + data_bytes
    return (
        struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
        + struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
        + struct.pack("<4sI", b"data", data_bytes)
    )
