"""Uploaded files of the formats people have, and files made to do harm."""

from __future__ import annotations

import io
import struct
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from models.audio import decode
from models.audio.decode import decode_audio
from models.audio.load import AudioError, AudioLimits

SAMPLE_RATE = 48_000


def tone(seconds: float, channels: int = 1) -> NDArray[np.float32]:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.tile(0.3 * np.sin(2 * np.pi * 440 * times), (channels, 1)).astype(np.float32)


def written(samples: NDArray[np.float32], file_format: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, SAMPLE_RATE, format=file_format, subtype=subtype)
    return buffer.getvalue()


def muxed(samples: NDArray[np.float32], container: str, codec: str) -> bytes:
    """Encode with FFmpeg; (channel, samples)."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=SAMPLE_RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = SAMPLE_RATE
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, layout, SAMPLE_RATE, context.frame_size)
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            output.mux(stream.encode(part))
    return buffer.getvalue()


def film() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
        for part in (picture, None):
            output.mux(stream.encode(part))
    return buffer.getvalue()


ENCODED = {
    "wav": written(tone(1), "WAV"),
    "flac": written(tone(1), "FLAC"),
    "aiff": written(tone(1), "AIFF"),
    "ogg": written(tone(1), "OGG"),
    "opus": written(tone(1), "OGG", "OPUS"),
    "mp3": written(tone(1), "MP3"),
    "mp3 with tags": muxed(tone(1), "mp3", "mp3"),
    "m4a": muxed(tone(1), "ipod", "aac"),
    "lossless m4a": muxed(tone(1), "ipod", "alac"),
    "aac": muxed(tone(1), "adts", "aac"),
    "webm": muxed(tone(1), "webm", "libopus"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_formats_people_have_are_read(name: str) -> None:
    audio = decode_audio(ENCODED[name])
    assert audio.sample_rate == SAMPLE_RATE
    assert audio.duration_s == pytest.approx(1, abs=0.1)
    middle = audio.waveform[SAMPLE_RATE // 4 : SAMPLE_RATE // 2]
    assert float(middle.square().mean().sqrt()) == pytest.approx(0.3 / 2**0.5, rel=0.1)


def test_lossless_containers_give_the_same_samples() -> None:
    torch.testing.assert_close(
        decode_audio(ENCODED["lossless m4a"]).waveform,
        decode_audio(ENCODED["wav"]).waveform,
        atol=2**-15,
        rtol=0,
    )


def test_channels_are_averaged_whatever_the_container() -> None:
    stereo = np.stack([tone(1)[0], np.zeros(SAMPLE_RATE, np.float32)])
    for content in (written(stereo, "WAV"), muxed(stereo, "ipod", "alac")):
        waveform = decode_audio(content).waveform
        torch.testing.assert_close(waveform, torch.from_numpy(stereo[0] / 2), atol=2**-15, rtol=0)


@pytest.mark.parametrize("name", ["m4a", "webm", "flac", "wav"])
def test_a_clip_longer_than_allowed_is_refused(name: str) -> None:
    with pytest.raises(AudioError, match=r"at most 0.5 s are allowed"):
        decode_audio(ENCODED[name], AudioLimits(max_seconds=0.5))


def test_a_header_that_hides_the_length_does_not_help() -> None:
    # ADTS has no length; frames are counted as they are decoded.
    with pytest.raises(AudioError, match=r"lasts 0\.5 s; at most 0\.5 s are allowed"):
        decode_audio(ENCODED["aac"], AudioLimits(max_seconds=0.5))


def test_hours_in_a_tiny_file_are_refused_before_they_are_decoded() -> None:
    hours = bytearray(written(np.zeros((1, SAMPLE_RATE), np.float32), "FLAC"))
    # STREAMINFO: the low half of byte 21 and the four bytes after it count the samples.
    hours[21:26] = bytes([hours[21] & 0xF0, *(SAMPLE_RATE * 36_000).to_bytes(4, "big")])
    with pytest.raises(AudioError, match=r"lasts 36000\.0 s; at most 60 s"):
        decode_audio(bytes(hours))


def test_ten_hours_of_silence_that_really_are_there_are_refused() -> None:
    quiet = np.zeros((1, 8_000 * 600), np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, quiet.T, 8_000, format="FLAC")
    with pytest.raises(AudioError, match=r"lasts 600\.0 s; at most 60 s"):
        decode_audio(buffer.getvalue())


def test_time_counts_for_tracks_that_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        tracks = [output.add_stream("libopus", rate=SAMPLE_RATE, layout="mono") for _ in range(2)]
        for track in tracks:
            track.codec_context.open()
        for track, seconds in zip(tracks, (0.05, 10.0), strict=True):
            frame = av.AudioFrame.from_ndarray(tone(seconds), format="fltp", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            context = track.codec_context
            resampler = av.AudioResampler(context.format, "mono", SAMPLE_RATE, context.frame_size)
            for part in (*resampler.resample(frame), *resampler.resample(None), None):
                output.mux(track.encode(part))
    seconds_passed = iter(range(10_000))
    clock = SimpleNamespace(monotonic=lambda: next(seconds_passed))
    monkeypatch.setattr(decode, "time", clock)
    with pytest.raises(AudioError, match="takes longer than 20 s"):
        decode_audio(buffer.getvalue())


@pytest.mark.parametrize("name", ["flac", "m4a", "lossless m4a", "webm"])
def test_a_file_cut_off_in_the_middle_is_refused(name: str) -> None:
    content = ENCODED[name]
    with pytest.raises(AudioError, match="cut off|not a readable audio file"):
        decode_audio(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a known audio file; allowed are wav"),
        (b"\xff", "not a known audio file"),
        (b"<html>not audio</html>", "not a known audio file"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "not a known audio file"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a known audio file"),
        (b"PK\x03\x04" + bytes(100), "not a known audio file"),
        (b"RIFF\x00\x00\x00\x00AVI LIST" + bytes(100), "not a known audio file"),
        (bytes(4) + b"ftypM4A " + bytes(1000), "not a readable audio file"),
        (b"\x1a\x45\xdf\xa3" + b"\xff" * 1000, "not a readable audio file"),
        (b"\xff\xf1" + bytes(1000), "not a readable audio file|sample rate of 0 Hz|no samples"),
        (b"ID3" + bytes(1000), "not a readable audio file|no samples"),
        (film(), "holds a video"),
        (muxed(tone(0.5, channels=6), "ipod", "aac"), "6 channels; at most 2 are allowed"),
        (muxed(tone(0.5), "matroska", "pcm_s16le"), "codec 'pcm_s16le' is not allowed"),
        (written(np.full((1, 100), np.nan, np.float32), "WAV", "FLOAT"), "not finite"),
        (written(tone(0), "WAV"), "no samples"),
    ],
)
def test_what_is_no_clip_is_refused_with_its_reason(content: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        decode_audio(content)


def test_more_bytes_than_allowed_are_refused_unread() -> None:
    with pytest.raises(AudioError, match="1001 bytes; at most 1000"):
        decode_audio(bytes(1001), AudioLimits(max_bytes=1000))


def test_damaged_files_end_in_an_error_or_in_bounded_audio() -> None:
    rng = np.random.default_rng(0)
    for content in ENCODED.values():
        for _ in range(20):
            damaged = bytearray(content)
            for at in rng.integers(0, len(damaged), 30):
                damaged[at] = rng.integers(256)
            try:
                audio = decode_audio(bytes(damaged))
            except AudioError:
                continue
            assert 0 < audio.duration_s <= 60
            assert bool(audio.waveform.isfinite().all())


def test_a_small_file_that_claims_millions_of_frames_is_refused_unopened() -> None:
    bomb = bytearray(ENCODED["m4a"])
    counted = bomb.index(b"stsz") + 8
    bomb[counted : counted + 8] = struct.pack(">II", 1, 20_000_000)  # each of one byte
    with pytest.raises(AudioError, match="claims 20000000 frames; at most 100000"):
        decode_audio(bytes(bomb))


def test_a_film_with_many_tracks_of_many_frames_each_is_refused_unopened() -> None:
    tracks = (b"stsz" + struct.pack(">III", 0, 1, 60_000)) * 2
    with pytest.raises(AudioError, match="claims 120000 frames"):
        decode_audio(bytes(4) + b"ftypM4A " + tracks)


def test_compressed_headers_are_refused_unopened() -> None:
    with pytest.raises(AudioError, match="compressed headers"):
        decode_audio(bytes(4) + b"ftypM4A " + b"cmov")


def test_one_sample_is_audio() -> None:
    assert len(decode_audio(written(tone(1 / SAMPLE_RATE), "WAV")).waveform) == 1
