"""Audio formats a reply can have, and the bytes of each while the audio is still being made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deployments.errors import UnsupportedFormat
from serve_app.pcm import encode_pcm16, wav_header


@dataclass(frozen=True)
class AudioFormat:
    """A format by its name in requests, which is also the file's extension."""

    name: str
    media_type: str
    has_header: bool


_FORMATS = {
    "wav": AudioFormat("wav", "audio/wav", has_header=True),
    "pcm": AudioFormat("pcm", "audio/pcm", has_header=False),
}


def audio_format(name: str) -> AudioFormat:
    """The format called `name`.

    Raises:
        UnsupportedFormat: there is none.
    """
    try:
        return _FORMATS[name]
    except KeyError:
        known = list(_FORMATS)
        raise UnsupportedFormat(
            f"format {name!r} is not supported; supported: {', '.join(known)}",
            {"supported": known},
        ) from None


def encode_whole(waveform: NDArray[np.float32], encoding: AudioFormat, sample_rate: int) -> bytes:
    """The bytes of a finished recording."""
    header = wav_header(sample_rate, len(waveform)) if encoding.has_header else b""
    return header + encode_pcm16(waveform)


async def encode_stream(
    waveforms: AsyncIterator[NDArray[np.float32]], encoding: AudioFormat, sample_rate: int
) -> AsyncIterator[bytes]:
    """The bytes of a recording, as its waveform arrives in pieces."""
    if encoding.has_header:
        yield wav_header(sample_rate)
    async for waveform in waveforms:
        yield encode_pcm16(waveform)
