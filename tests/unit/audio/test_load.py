import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models.audio.load import AudioError, AudioLimits, load_audio


def _file(samples: np.ndarray, sample_rate: int = 16_000, **options: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, **{"format": "WAV", **options})
    return buffer.getvalue()


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


def test_channels_are_averaged() -> None:
    stereo = _noise(1000, 2)
    audio = load_audio(_file(stereo, subtype="FLOAT"))
    assert audio.sample_rate == 16_000
    torch.testing.assert_close(audio.waveform, torch.from_numpy(stereo.mean(axis=1)))


@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "OGG", "MP3"])
def test_common_formats_are_read(file_format: str) -> None:
    audio = load_audio(_file(_noise(16_000), format=file_format))
    assert audio.duration_s == pytest.approx(1.0, abs=0.1)
    assert 0.1 < audio.waveform.square().mean().sqrt() < 0.5


def test_a_path_reads_like_its_content(tmp_path: Path) -> None:
    content = _file(_noise(500))
    (tmp_path / "clip.wav").write_bytes(content)
    from_path, from_bytes = load_audio(tmp_path / "clip.wav"), load_audio(content)
    assert torch.equal(from_path.waveform, from_bytes.waveform)


def test_a_directory_and_a_pipe_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path, tmp_path / "pipe.wav"):
        with pytest.raises(AudioError, match="not a regular file"):
            load_audio(path)


def test_a_small_file_that_claims_hours_is_refused_by_its_header() -> None:
    flac = bytearray(_file(_noise(16_000), format="FLAC"))
    # STREAMINFO: the low half of byte 21 and the four bytes after it count the samples.
    flac[21:26] = bytes([flac[21] & 0xF0, *(16_000 * 3600).to_bytes(4, "big")])
    with pytest.raises(AudioError, match=r"lasts 3600\.0 s; at most 60 s"):
        load_audio(bytes(flac))


def test_a_file_cut_off_in_the_middle_is_refused() -> None:
    flac = _file(_noise(16_000), format="FLAC")
    with pytest.raises(AudioError, match="not a readable audio file"):
        load_audio(flac[: len(flac) // 2])


@pytest.mark.parametrize(
    ("content", "limits", "message"),
    [
        (b"", AudioLimits(), "not a readable audio file"),
        (b"<html>not audio</html>" * 50, AudioLimits(), "not a readable audio file"),
        (_file(_noise(500))[:44], AudioLimits(), "no samples"),
        (_file(_noise(0)), AudioLimits(), "no samples"),
        (_file(_noise(500)), AudioLimits(max_bytes=100), "1044 bytes; at most 100"),
        (_file(_noise(32_000)), AudioLimits(max_seconds=1.5), "lasts 2.0 s; at most 1.5 s"),
        (_file(_noise(100, 3)), AudioLimits(), "3 channels; at most 2"),
        (_file(_noise(100), 4_000), AudioLimits(), "4000 Hz; it must lie between 8000"),
    ],
)
def test_files_over_a_limit_are_refused_with_the_limit(
    content: bytes, limits: AudioLimits, message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        load_audio(content, limits)


def test_values_that_are_not_finite_are_refused() -> None:
    samples = _noise(100)
    samples[50] = np.nan
    with pytest.raises(AudioError, match="not finite"):
        load_audio(_file(samples, subtype="FLOAT"))


def test_a_header_that_understates_the_length_decodes_no_more_than_allowed() -> None:
    # Ogg pages claim their position; a chained second stream goes on after the first.
    chained = _file(_noise(16_000), format="OGG") * 3
    audio = load_audio(chained, AudioLimits(max_seconds=1.5))
    assert audio.duration_s <= 1.5
