import math

import pytest
import torch

from models.audio.mel import log_mel_spectrogram, mel_filterbank
from models.audio.resample import resample
from models.audio.spectrogram import linear_spectrogram


@pytest.mark.parametrize("num_samples", [32_000, 32_639, 705, 1279])
def test_there_is_one_frame_per_whole_hop(num_samples: int) -> None:
    assert linear_spectrogram(torch.randn(2, num_samples)).shape == (2, 1025, num_samples // 640)


@pytest.mark.parametrize("num_samples", [0, 640, 704])
def test_a_clip_too_short_to_reflect_is_refused(num_samples: int) -> None:
    with pytest.raises(ValueError, match=f"{num_samples} samples"):
        linear_spectrogram(torch.zeros(1, num_samples))


def test_a_tone_peaks_in_its_bin() -> None:
    hz = 100 * 32_000 / 2048
    tone = torch.sin(2 * math.pi * hz * torch.arange(32_000) / 32_000)
    assert (linear_spectrogram(tone[None])[0, :, 2:-2].argmax(dim=0) == 100).all()


def test_the_gradient_of_silence_is_finite() -> None:
    silence = torch.zeros(1, 4000, requires_grad=True)
    log_mel_spectrogram(linear_spectrogram(silence)).sum().backward()
    assert silence.grad is not None
    assert silence.grad.isfinite().all()


def test_mel_filters_have_unit_area_away_from_the_resolution_limit() -> None:
    filters = mel_filterbank(sample_rate=32_000, n_fft=2048, num_mels=128, max_hz=16_000)
    areas = filters[60:].sum(dim=1) * 32_000 / 2048
    torch.testing.assert_close(areas, torch.ones_like(areas), atol=0.02, rtol=0)


def test_mel_bands_can_end_below_half_the_rate() -> None:
    filters = mel_filterbank(sample_rate=32_000, n_fft=2048, num_mels=80, max_hz=8_000)
    assert not filters[:, 513:].any()
    assert filters.any(dim=1).all()


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44_100, 32_000), (16_000, 32_000), (48_000, 16_000)]
)
def test_a_tone_keeps_its_pitch_and_level(from_hz: int, to_hz: int) -> None:
    tone = torch.sin(2 * math.pi * 440 * torch.arange(from_hz, dtype=torch.float64) / from_hz)
    expected = torch.sin(2 * math.pi * 440 * torch.arange(to_hz, dtype=torch.float64) / to_hz)
    inner = slice(200, -200)
    torch.testing.assert_close(
        resample(tone, from_hz, to_hz)[inner], expected[inner], atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("num_samples", [0, 1, 441, 1000])
def test_resampling_rounds_the_length_up(num_samples: int) -> None:
    out = resample(torch.zeros(3, num_samples), 44_100, 32_000)
    assert out.shape == (3, math.ceil(num_samples * 320 / 441))


def test_rates_without_a_common_divisor_take_no_more_memory_than_others() -> None:
    # Every one of 32,000 phases has its own taps; a dense table of them would take 49 GB.
    rate = 191_999
    tone = torch.sin(2 * math.pi * 440 * torch.arange(rate, dtype=torch.float64) / rate)
    expected = torch.sin(2 * math.pi * 440 * torch.arange(32_000, dtype=torch.float64) / 32_000)
    inner = slice(200, -200)
    torch.testing.assert_close(
        resample(tone, rate, 32_000)[inner], expected[inner], atol=2e-3, rtol=0
    )


def test_a_long_clip_is_resampled_in_blocks_without_a_seam() -> None:
    clip = torch.randn(150_000)
    whole = resample(clip, 16_000, 24_000)
    # Output 90,000 depends on inputs near 60,000 only.
    tail = resample(clip[60_000:], 16_000, 24_000)
    torch.testing.assert_close(whole[90_100:], tail[100:], atol=1e-6, rtol=0)


def test_equal_rates_leave_the_waveform_alone() -> None:
    waveform = torch.randn(100)
    assert resample(waveform, 16_000, 16_000) is waveform


@pytest.mark.parametrize(("from_hz", "to_hz"), [(0, 16_000), (16_000, -1)])
def test_a_rate_that_is_not_positive_is_refused(from_hz: int, to_hz: int) -> None:
    with pytest.raises(ValueError, match="both must be greater than 0"):
        resample(torch.zeros(10), from_hz, to_hz)
