"""Checks, slicing and levels of single clips, on sounds made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import training
from training.data.checks import (
    check_length,
    check_sound,
    check_speaking_rate,
    check_speech,
    clipped_share,
    levels_db,
)
from training.data.clip import degraded, mix_level, phonemes_of
from training.data.config import Augmentation, Checks, PrepareConfig
from training.data.slicing import cut_at_silence, deal_out
from training.data.sources import Rejected
from training.loops.strict import read_config

RATE = 16_000
CHECKS = Checks()


def syllables(duration_s: float, peak: float = 0.5) -> NDArray[np.float32]:
    """A buzz that is loud and silent in turn, twice a second."""
    times = np.arange(int(duration_s * RATE)) / RATE
    wave = np.sin(2 * np.pi * 150 * times) * (np.sin(2 * np.pi * 2 * times) > 0)
    return (peak * wave).astype(np.float32)


def noise(num_samples: int, level_db: float) -> NDArray[np.float32]:
    sd = 10 ** (level_db / 20)
    return np.random.default_rng(0).normal(0, sd, num_samples).astype(np.float32)


def reason_of(samples: NDArray[np.float32]) -> str | None:
    try:
        check_sound(samples, RATE, CHECKS)
    except Rejected as error:
        return error.reason
    return None


def test_a_clean_clip_passes() -> None:
    assert reason_of(syllables(2.0)) is None


def test_a_clip_cut_off_at_any_level_is_clipped() -> None:
    for level in (0.3, 1.0):
        assert reason_of(np.clip(syllables(2.0, peak=1.5 * level), -level, level)) == "clipped"


def test_the_clipped_share_counts_the_flat_samples() -> None:
    samples = syllables(1.0, peak=0.4)
    samples[100:110], samples[300:302] = 0.9, 0.9  # two in a row may be a peak
    assert clipped_share(samples) == 10 / len(samples)
    assert clipped_share(np.zeros(100, np.float32)) == 0.0


def test_float_audio_far_above_full_scale_is_refused() -> None:
    assert reason_of(syllables(1.0, peak=2.5)) == "clipped"


def test_levels_are_those_of_the_loud_and_the_quiet_frames() -> None:
    samples = noise(4 * RATE, -20)
    samples[: 2 * RATE] *= 10 ** (-30 / 20)
    assert levels_db(samples, RATE) == pytest.approx((-20, -50), abs=1.5)


def test_noise_as_loud_as_10_db_below_speech_is_refused() -> None:
    samples = syllables(2.0)
    assert reason_of(samples + noise(len(samples), -60)) is None
    assert reason_of(samples + noise(len(samples), -19)) == "noisy"


def test_a_whisper_of_a_signal_is_too_quiet() -> None:
    assert reason_of(syllables(2.0, peak=0.001)) == "too quiet"


def test_a_buzz_is_no_speech() -> None:
    with pytest.raises(Rejected, match="no speech"):
        check_speech(syllables(2.0), CHECKS)


@pytest.mark.parametrize(("duration_s", "reason"), [(0.5, "too short"), (15.5, "too long")])
def test_length_is_bounded(duration_s: float, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        check_length(duration_s, CHECKS)


@pytest.mark.parametrize("num_phonemes", [5, 60])
def test_text_that_cannot_be_spoken_in_the_time_is_refused(num_phonemes: int) -> None:
    with pytest.raises(Rejected, match="speaking rate"):
        check_speaking_rate(num_phonemes, 2.0, CHECKS)


def test_text_becomes_the_phonemes_the_service_speaks() -> None:
    reading, phonemes = phonemes_of("사과 3개\n주세요. 네!", "ko")
    assert reading == "사과 세 개 주세요. 네!"
    assert phonemes[:4] == ["ㅅ", "ㅏ", "ㄱ", "ㅗ"] and phonemes[-1] == "!"


@pytest.mark.parametrize(("text", "language"), [("???", "ko"), ("你好", "zh"), ("", "ko")])
def test_text_without_a_reading_is_refused(text: str, language: str) -> None:
    with pytest.raises(Rejected, match="unusable text"):
        phonemes_of(text, language)


def test_levels_are_mixed_half_and_half_as_the_reference_does() -> None:
    waveform = torch.tensor([0.0, 0.25, -0.5])
    torch.testing.assert_close(mix_level(waveform), torch.tensor([0.0, 0.3625, -0.725]))


def test_a_copy_depends_on_its_name_and_the_seed_alone() -> None:
    settings = Augmentation(share=1.0, seed=3)
    waveform = torch.from_numpy(syllables(1.0))
    first, again = (degraded(waveform, RATE, "a.wav", settings) for _ in range(2))
    other = degraded(waveform, RATE, "b.wav", settings)
    assert first is not None and again is not None and other is not None
    assert torch.equal(first, again) and not torch.equal(first[:RATE], other[:RATE])
    lead = len(first) - RATE
    assert 0.1 * RATE <= lead <= RATE
    level_db = 20 * torch.log10((first[lead:] - waveform).std())
    assert -60.5 <= float(level_db) <= -47.5


def test_as_many_clips_get_a_copy_as_are_asked_for() -> None:
    settings = Augmentation(share=0.2, seed=0)
    copies = [degraded(torch.zeros(1), RATE, f"{i}.wav", settings) for i in range(2_000)]
    assert sum(copy is not None for copy in copies) == pytest.approx(400, abs=60)


@pytest.mark.parametrize(
    ("heard", "parts"),
    [
        (["하나 둘", "셋 넷 다섯"], ["하나, 둘.", "셋 넷 다섯!"]),
        (["하나둘", "세넷 다섯"], ["하나, 둘.", "셋 넷 다섯!"]),
        (["하나 둘 셋", "다섯"], ["하나, 둘. 셋", "넷 다섯!"]),
        (["하나 둘 셋 넷 다섯"], ["하나, 둘. 셋 넷 다섯!"]),
        (["하나 둘", "", "셋 넷 다섯"], ["하나, 둘.", "", "셋 넷 다섯!"]),
        (["", ""], ["하나, 둘. 셋 넷 다섯!", ""]),
    ],
)
def test_a_transcript_is_dealt_out_by_what_is_heard(heard: list[str], parts: list[str]) -> None:
    assert deal_out("하나, 둘. 셋 넷 다섯!", heard) == parts


def test_silence_alone_has_no_pieces() -> None:
    assert cut_at_silence(np.zeros(5 * RATE, np.float32), 2.0) == []


def test_an_unknown_or_contradictory_setting_is_refused() -> None:
    valid = {"input": {"kind": "list"}, "ssl": {"encoder": "whisper-base"}, "fit_tokens": {}}
    PrepareConfig.model_validate(valid)
    for fault in (
        {"typo": 1},
        {"fit_tokens": None},
        {"tokens_of": "/voice/s2.json"},
        {"ssl": {"encoder": "hubert-base"}},
        {"augmentation": {"share": 0.2, "noise_db": [-40, -60]}},
        {"checks": {"max_s": 40}},
    ):
        with pytest.raises(ValueError):
            PrepareConfig.model_validate(valid | fault)


@pytest.mark.parametrize("name", ["prepare.yaml", "prepare_small.yaml"])
def test_the_configurations_that_come_with_the_project_are_valid(name: str) -> None:
    read_config(Path(training.__file__).parent / "configs" / name, PrepareConfig)
