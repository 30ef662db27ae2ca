"""Decodes uploaded clips of the formats people have, with every size bounded.

Which decoder reads a file follows from its first bytes alone, and FFmpeg is told the container: its
own guess may end at a demuxer that opens other files, as playlists do.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from models.audio.load import Audio, AudioError, AudioLimits, check_header, load_audio

FORMATS = "wav, flac, ogg, opus, mp3, aiff, m4a, aac, webm"
"""What `decode_audio` reads, for people."""

_CODECS = ("aac", "alac", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis")
# Where an MP4 box that lists frames has their number, in bytes behind its name. A number without
# frames behind it makes FFmpeg allocate 80 bytes for each: gigabytes for a file of 1 kB.
_FRAME_COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}
_MAX_FRAMES = 100_000  # a minute of the shortest frames at the highest rate has 24,000
# Each of a million edits would be compared with each frame; all they do here is cut 40 ms of
# silence that encoders put first.
_OPTIONS = {"ignore_editlist": "1"}
_MAX_DECODING_S = 20.0
_MIN_DECODED_SHARE = 0.9  # of the length a header gives; encoders add and drop a few frames


def decode_audio(content: bytes, limits: AudioLimits | None = None) -> Audio:
    """Decode a file to mono by averaging its channels. Blocks; call it in a thread.

    Args:
        content: the file.
        limits: bounds; bytes, channels and sample rate are checked before anything is decoded,
            the length before and while it is.

    Raises:
        AudioError: of another format, damaged, cut off, with a picture track, empty, not finite, or
            over a limit.
    """
    limits = limits or AudioLimits()
    if len(content) > limits.max_bytes:
        raise AudioError(
            f"audio file has {len(content)} bytes; at most {limits.max_bytes} are allowed"
        )
    if _is_for_libsndfile(content):
        return load_audio(content, limits)
    container_format = _ffmpeg_format(content)
    if container_format is None:
        raise AudioError(f"not a known audio file; allowed are {FORMATS}")
    if container_format == "mov":
        _check_frame_counts(content)
    try:
        source = io.BytesIO(content)
        # Tags may be in any encoding, or in none.
        with av.open(
            source, "r", container_format, options=_OPTIONS, metadata_errors="replace"
        ) as container:
            return _decode(container, limits)
    except av.FFmpegError as error:
        raise AudioError(f"not a readable audio file: {error.strerror}") from error


def _is_for_libsndfile(content: bytes) -> bool:
    head = content[:12]
    if head[:4] in (b"RIFF", b"FORM"):
        return head[8:12] in (b"WAVE", b"AIFF", b"AIFC")
    return head[:4] in (b"fLaC", b"OggS", b"RF64")


def _ffmpeg_format(content: bytes) -> str | None:
    """Name of FFmpeg's demuxer for the other containers.

    libsndfile reads mp3 too, and writes a line to the log for every damaged frame.
    """
    if content[4:8] == b"ftyp":
        return "mov"
    if content[:4] == b"\x1a\x45\xdf\xa3":  # EBML: Matroska and WebM
        return "matroska"
    if content[:3] == b"ID3":
        return "mp3"
    if len(content) < 2 or content[0] != 0xFF or content[1] & 0xE0 != 0xE0:  # eleven bits of sync
        return None
    # The layer is 0 in AAC's frames, and 1 to 3 in MPEG audio.
    return "mp3" if content[1] & 0x06 else "aac"


def _check_frame_counts(content: bytes) -> None:
    """Refuse an MP4 file that claims too many frames, wherever in it, or hides its tables.

    Nothing is parsed, as two parsers may disagree about what a file holds. By chance sound contains
    such a box once in some thousand files of 1 MB.
    """
    if b"cmov" in content:
        raise AudioError("the file has compressed headers, which are not read")
    num_frames = 0
    for name, offset in _FRAME_COUNTS.items():
        for found in re.finditer(name, content):
            start = found.end() + offset
            num_frames += int.from_bytes(content[start : start + 4], "big")
    if num_frames > _MAX_FRAMES:
        raise AudioError(f"the file claims {num_frames} frames; at most {_MAX_FRAMES} are allowed")


def _decode(container: InputContainer, limits: AudioLimits) -> Audio:
    if any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video):
        raise AudioError("the file holds a video; upload its sound alone")
    if not container.streams.audio:
        raise AudioError("the file holds no audio track")
    stream = container.streams.audio[0]
    codec = stream.codec_context.name if stream.codec_context else "unknown"
    if codec not in _CODECS:
        raise AudioError(f"audio codec {codec!r} is not allowed; allowed are {', '.join(_CODECS)}")
    declared_s = _declared_s(container)
    check_header(
        stream.channels, stream.sample_rate, round(declared_s * stream.sample_rate), limits
    )
    parts: list[NDArray[np.float32]] = []
    num_samples, sample_rate = 0, 0
    for frame in _frames(container, stream):
        sample_rate = sample_rate or frame.sample_rate
        # What was declared may not be what is there; each frame is held to the same bounds.
        check_header(frame.layout.nb_channels, frame.sample_rate, num_samples, limits)
        if frame.sample_rate != sample_rate:
            raise AudioError("the sample rate changes within the file")
        parts.append(_mono(frame))
        num_samples += frame.samples
    check_header(1, sample_rate or stream.sample_rate, num_samples, limits)
    if not num_samples:
        raise AudioError("audio holds no samples")
    if num_samples < _MIN_DECODED_SHARE * declared_s * sample_rate:
        raise AudioError(
            f"the file is cut off: {num_samples / sample_rate:.1f} of {declared_s:.1f} s are there"
        )
    waveform = np.concatenate(parts)
    if not np.isfinite(waveform).all():
        raise AudioError("audio holds values that are not finite")
    return Audio(torch.from_numpy(waveform), sample_rate)


def _declared_s(container: InputContainer) -> float:
    """Length according to the header; 0 where it gives none, as in files made while recording."""
    if container.format.name in ("aac", "mp3"):
        return 0.0  # a guess from the bit rate
    return max(0.0, (container.duration or 0) / av.time_base)


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    deadline = time.monotonic() + _MAX_DECODING_S
    # Packets of all tracks, as those of others take time as well: in Matroska each may be inflated
    # from a few kB to 10 MB.
    for packet in container.demux():
        if time.monotonic() > deadline:
            raise AudioError(f"decoding takes longer than {_MAX_DECODING_S:g} s")
        if packet.stream is stream:
            yield from stream.decode(packet)


def _mono(frame: AudioFrame) -> NDArray[np.float32]:
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "i":
        samples = samples / 2.0 ** (8 * samples.dtype.itemsize - 1)
    mono: NDArray[np.float32] = samples.mean(axis=0, dtype=np.float32)
    return mono
