import asyncio
import io
from collections.abc import AsyncIterator

import av
import numpy as np
import pytest

from deployments.driver.audio_format import audio_format, encode_stream, encode_whole
from deployments.errors import UnsupportedFormat

RATE = 24_000
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)


async def pieces(size: int) -> AsyncIterator[np.ndarray]:
    for start in range(0, len(TONE), size):
        yield TONE[start : start + size]


def stream(name: str, size: int) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [part async for part in encode_stream(pieces(size), audio_format(name), RATE)]

    return asyncio.run(collect())


def decode(content: bytes) -> tuple[np.ndarray, int]:
    with av.open(io.BytesIO(content)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    samples = np.concatenate(frames, axis=1)[0]
    scale = 32768 if samples.dtype == np.int16 else 1
    return samples.astype(np.float32) / scale, rate


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav"])
def test_what_is_encoded_piece_by_piece_is_the_tone_again(name: str) -> None:
    samples, rate = decode(b"".join(stream(name, size=5000)))
    seconds = len(samples) / rate
    assert 2.0 <= seconds < 2.1
    spectrum = np.abs(np.fft.rfft(samples[rate // 2 : 3 * rate // 2]))
    assert abs(int(spectrum.argmax()) - 440) <= 2


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "pcm"])
def test_how_the_waveform_is_cut_does_not_matter(name: str) -> None:
    whole = encode_whole(TONE, audio_format(name), RATE)
    joined = b"".join(stream(name, size=777))
    if name == "opus":  # ogg draws a serial number for each file
        np.testing.assert_array_equal(decode(joined)[0], decode(whole)[0])
    else:
        assert joined == whole


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_bytes_leave_before_the_audio_has_ended(name: str) -> None:
    assert len(stream(name, size=RATE // 2)) >= 4


def test_an_unknown_format_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnsupportedFormat, match="mp3, opus, aac, flac, wav, pcm"):
        audio_format("midi")
