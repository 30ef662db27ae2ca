"""Mono audio, and the two ways it travels: as a file's bytes, and inside a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import av
import numpy as np
import soundfile
import soxr
from av.audio.stream import AudioStream
from numpy.typing import NDArray

_OPUS_RATE_HZ = 24_000  # one of the few that Opus knows


@dataclass(frozen=True)
class Recording:
    """`waveform` is `(samples,)` float32 in [-1, 1]."""

    waveform: NDArray[np.float32]
    sample_rate: int

    @property
    def duration_s(self) -> float:
        return len(self.waveform) / self.sample_rate


def decode(content: bytes) -> Recording:
    """Read a file that libsndfile knows, its channels averaged.

    Raises:
        ValueError: it is no audio file.
    """
    try:
        samples, sample_rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"not a readable audio file: {error.error_string}") from None
    return Recording(samples.mean(axis=1, dtype=np.float32), sample_rate)


def opus_data_uri(recording: Recording, bit_rate: int) -> str:
    """The recording as Opus, small and clear, in a `data:` address.

    Args:
        bit_rate: bits a second.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=_OPUS_RATE_HZ, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.bit_rate = bit_rate
        audio = soxr.resample(
            np.nan_to_num(recording.waveform), recording.sample_rate, _OPUS_RATE_HZ
        )
        pcm = np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = _OPUS_RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return "data:audio/ogg;base64," + base64.b64encode(buffer.getvalue()).decode()
