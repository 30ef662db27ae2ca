"""Audio formats a reply can have, encoded while the audio is still being made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from deployments.driver.iteration import closing
from deployments.driver.pcm import encode_pcm16, to_pcm16, wav_header
from deployments.errors import UnsupportedFormat

_CONTAINER_OPTIONS = {
    # Without a Xing header, whose frame count could only be filled in afterwards.
    "mp3": {"write_xing": "0", "id3v2_version": "0"},
    # Microseconds; a page is sent when it is full, and its default is a whole second.
    "ogg": {"page_duration": "100000"},
}


class Encoder(Protocol):
    """Turns a waveform that arrives in pieces into the bytes of a file."""

    def feed(self, waveform: NDArray[np.float32]) -> bytes:
        """Bytes that are ready after the next piece; perhaps none."""

    def finish(self) -> bytes:
        """The rest, once the audio has ended."""


@dataclass(frozen=True)
class AudioFormat:
    """A format by its name in requests, which is also the file's extension.

    `container` and `codec` are FFmpeg's names; None for formats that need no codec.
    """

    name: str
    media_type: str
    container: str | None = None
    codec: str | None = None

    def encoder(self, sample_rate: int, num_samples: int | None = None) -> Encoder:
        """A fresh encoder for one mono recording.

        Args:
            sample_rate: Hz.
            num_samples: length of the recording, if it is known; only wav can say it.
        """
        if self.container is None or self.codec is None:
            header = wav_header(sample_rate, num_samples) if self.name == "wav" else b""
            return _PcmEncoder(header)
        return _CodecEncoder(self.container, self.codec, sample_rate)


_FORMATS = {
    audio.name: audio
    for audio in (
        AudioFormat("mp3", "audio/mpeg", "mp3", "libmp3lame"),
        AudioFormat("opus", "audio/ogg", "ogg", "libopus"),
        AudioFormat("aac", "audio/aac", "adts", "aac"),
        AudioFormat("flac", "audio/flac", "flac", "flac"),
        AudioFormat("wav", "audio/wav"),
        AudioFormat("pcm", "audio/pcm"),
    )
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
    encoder = encoding.encoder(sample_rate, len(waveform))
    return encoder.feed(waveform) + encoder.finish()


async def encode_stream(
    waveforms: AsyncIterator[NDArray[np.float32]], encoding: AudioFormat, sample_rate: int
) -> AsyncGenerator[bytes]:
    """The bytes of a recording, as its waveform arrives in pieces."""
    encoder = encoding.encoder(sample_rate)
    async with closing(waveforms):
        async for waveform in waveforms:
            if encoded := encoder.feed(waveform):
                yield encoded
    if rest := encoder.finish():
        yield rest


class _PcmEncoder:
    def __init__(self, header: bytes) -> None:
        self._header = header

    def feed(self, waveform: NDArray[np.float32]) -> bytes:
        header, self._header = self._header, b""
        return header + encode_pcm16(waveform)

    def finish(self) -> bytes:
        header, self._header = self._header, b""
        return header


class _Sink:
    """A file that can only be written to, so that FFmpeg never goes back to what was sent."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        written = bytes(self._written)
        self._written.clear()
        return written


class _CodecEncoder:
    def __init__(self, container: str, codec: str, sample_rate: int) -> None:
        self._sink = _Sink()
        options = _CONTAINER_OPTIONS.get(container, {})
        self._container = av.open(self._sink, "w", format=container, options=options)
        stream = self._container.add_stream(codec, rate=sample_rate, layout="mono")
        assert isinstance(stream, AudioStream)
        self._stream = stream
        self._sample_rate = sample_rate
        self._num_samples = 0

    def feed(self, waveform: NDArray[np.float32]) -> bytes:
        if len(waveform) == 0:
            return b""
        frame = av.AudioFrame.from_ndarray(to_pcm16(waveform)[None], format="s16", layout="mono")
        frame.sample_rate = self._sample_rate
        frame.pts = self._num_samples
        self._num_samples += len(waveform)
        self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()
