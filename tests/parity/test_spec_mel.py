"""Linear and mel spectrogram against the reference implementation."""

import torch

from models.audio.mel import log_mel_spectrogram, mel_filterbank
from models.audio.spectrogram import linear_spectrogram
from tests.parity.fill import filler_for
from tests.parity.golden import GoldenFolder
from tests.parity.s2_voice import assert_near

FILE = "spec_mel.npz"


def test_spectrogram_and_mel_equal_the_reference() -> None:
    golden = GoldenFolder("gpt_sovits_v2").arrays(FILE)
    wave = torch.from_numpy(filler_for(FILE).waveform("spec/wav", 16_000, 32_000))[None]

    spec = linear_spectrogram(wave)

    assert_near(wave[:, : golden["wav_head"].shape[1]], golden["wav_head"], tolerance=1e-6)
    assert spec.shape[2] == int(golden["n_frames"])
    assert_near(spec[:, :, ::2], golden["spec"])
    assert_near(log_mel_spectrogram(spec), golden["mel"], tolerance=1e-3)


def test_mel_filters_equal_the_reference() -> None:
    golden = GoldenFolder("gpt_sovits_v2").arrays(FILE)
    filters = mel_filterbank(sample_rate=32_000, n_fft=2048, num_mels=128, max_hz=16_000)
    assert_near(filters.sum(dim=1), golden["mel_fb_rowsum"], tolerance=1e-6)
    assert_near(filters[10], golden["mel_fb_row10"], tolerance=1e-7)
    assert_near(filters[100], golden["mel_fb_row100"], tolerance=1e-7)
