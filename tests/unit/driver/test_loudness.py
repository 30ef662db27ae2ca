import numpy as np
import pytest
import torch

from deployments.driver.loudness import TARGET_LUFS, apply_gain, gain_to_target
from models.audio.loudness import integrated_loudness_lufs

RATE = 32_000


def tone(amplitude: float, duration_s: float = 1.0) -> np.ndarray:
    time_s = np.arange(int(duration_s * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


@pytest.mark.parametrize("amplitude", [0.03, 0.1, 0.5])
def test_every_voice_is_brought_to_the_same_loudness(amplitude: float) -> None:
    waveform = tone(amplitude)
    louder = apply_gain(waveform, gain_to_target(waveform, RATE))
    loudness = integrated_loudness_lufs(torch.from_numpy(louder), RATE)
    assert loudness == pytest.approx(TARGET_LUFS, abs=0.06)


def test_gains_that_differ_by_rounding_errors_are_equal() -> None:
    waveform = tone(0.1)
    assert gain_to_target(waveform, RATE) == gain_to_target(waveform * np.float32(1.0001), RATE)


@pytest.mark.parametrize("waveform", [np.zeros(RATE, np.float32), np.zeros(0, np.float32)])
def test_silence_has_no_gain(waveform: np.ndarray) -> None:
    assert gain_to_target(waveform, RATE) == 1.0


def test_speech_shorter_than_a_gating_block_is_measured_too() -> None:
    assert gain_to_target(tone(0.1, 0.1), RATE) == pytest.approx(
        gain_to_target(tone(0.1), RATE), rel=0.02
    )


def test_what_is_loud_is_bent_below_full_scale_and_the_rest_is_only_scaled() -> None:
    waveform = np.linspace(-1, 1, 2001, dtype=np.float32)
    louder = apply_gain(waveform, 4.0)
    assert np.abs(louder).max() <= 1.0
    assert (np.diff(louder) >= 0).all()
    quiet = np.abs(waveform) <= 0.18
    np.testing.assert_array_equal(louder[quiet], 4 * waveform[quiet])


def test_a_gain_does_not_care_where_chunks_are_cut() -> None:
    waveform = tone(0.9)
    parts = [apply_gain(part, 3.0) for part in np.split(waveform, [1, 5000, 20_000])]
    np.testing.assert_array_equal(np.concatenate(parts), apply_gain(waveform, 3.0))
