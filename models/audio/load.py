"""Reads audio files from outside, with every size bounded before anything is decoded."""

import io
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor


class AudioError(ValueError):
    """The file can't be used; the message says why and what is allowed."""


@dataclass(frozen=True)
class AudioLimits:
    """What is accepted from outside."""

    max_bytes: int = 20 * 1024 * 1024
    max_seconds: float = 60.0
    max_channels: int = 2
    min_sample_rate: int = 8_000
    max_sample_rate: int = 192_000


@dataclass(frozen=True)
class Audio:
    """Decoded mono audio."""

    waveform: Tensor
    """(samples,) float32, nominally in [-1, 1]; integer files never exceed it."""
    sample_rate: int

    @property
    def duration_s(self) -> float:
        return len(self.waveform) / self.sample_rate


def load_audio(source: bytes | Path, limits: AudioLimits | None = None) -> Audio:
    """Decode a file libsndfile knows (wav, flac, ogg, mp3, ...) to mono by averaging channels.

    Args:
        source: the file's content, or its path.
        limits: bounds; bytes are checked before the file is read, channels, rate and length
            before it is decoded.

    Raises:
        AudioError: not audio, not a regular file, empty, over a limit, or not finite.
        FileNotFoundError: a path that does not exist.
    """
    limits = limits or AudioLimits()
    content = _bounded_bytes(source, limits.max_bytes)
    try:
        with soundfile.SoundFile(_Seekable(content)) as file:
            check_header(file.channels, file.samplerate, file.frames, limits)
            # A header may lie: what is decoded is bounded too.
            max_frames = int(limits.max_seconds * file.samplerate)
            samples = file.read(max_frames + 1, dtype="float32", always_2d=True)
            sample_rate = int(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"not a readable audio file: {error.error_string}") from error
    if len(samples) > max_frames:
        raise AudioError(f"audio is longer than {limits.max_seconds:g} s")
    if not len(samples):
        raise AudioError("audio holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError("audio holds values that are not finite")
    return Audio(torch.from_numpy(samples.mean(axis=1, dtype=np.float32)), sample_rate)


class _Seekable(io.BytesIO):
    """Stays at the start where a damaged file sends its reader before it.

    An exception there could not be raised through libsndfile; it would only be printed.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return super().seek(max(0, offset) if whence == io.SEEK_SET else offset, whence)


def _bounded_bytes(source: bytes | Path, max_bytes: int) -> bytes:
    if isinstance(source, bytes):
        num_bytes = len(source)
    else:
        status = source.stat()
        # A pipe or a device has no size to check, and may never end.
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{source.name} is not a regular file")
        num_bytes = status.st_size
    if num_bytes > max_bytes:
        raise AudioError(f"audio file has {num_bytes} bytes; at most {max_bytes} are allowed")
    return source if isinstance(source, bytes) else source.read_bytes()


def check_header(channels: int, sample_rate: int, frames: int, limits: AudioLimits) -> None:
    if channels > limits.max_channels:
        raise AudioError(
            f"audio has {channels} channels; at most {limits.max_channels} are allowed"
        )
    if not limits.min_sample_rate <= sample_rate <= limits.max_sample_rate:
        raise AudioError(
            f"audio has a sample rate of {sample_rate} Hz; it must lie between "
            f"{limits.min_sample_rate} and {limits.max_sample_rate}"
        )
    if frames > limits.max_seconds * sample_rate:
        raise AudioError(
            f"audio lasts {frames / sample_rate:.1f} s; at most "
            f"{limits.max_seconds:g} s are allowed"
        )
