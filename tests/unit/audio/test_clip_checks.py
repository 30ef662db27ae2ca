"""Which clips can become a voice: the embedded voices, and what happens to recordings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.audio.clip import ClipChecker, ClipReason, UnusableClip
from models.audio.clip.measures import clipped_share, level_dbfs, signal_to_noise_db
from models.audio.clip.one_speaker import least_similarity
from models.audio.load import Audio
from models.speaker import SpeakerEncoder, ensure_speaker_encoder
from tests.kokoro_clips import LINE, OTHER_LINE, spoken

LEVEL_OF_SPEECH_DB = -20.0


@pytest.fixture(scope="module")
def checker() -> ClipChecker:
    return ClipChecker(SpeakerEncoder(ensure_speaker_encoder()))


def changed(audio: Audio, waveform: Tensor) -> Audio:
    return replace(audio, waveform=waveform)


def noise(num_samples: int, level_db: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 10 ** (level_db / 20) * torch.randn(num_samples, generator=generator)


def refusal(checker: ClipChecker, audio: Audio) -> UnusableClip:
    with pytest.raises(UnusableClip) as refused:
        checker.check(audio)
    return refused.value


@pytest.mark.parametrize(
    ("voice_id", "text"), [("bujang", LINE), ("bujang", OTHER_LINE), ("sinip", LINE)]
)
def test_clean_speech_of_one_person_passes(checker: ClipChecker, voice_id: str, text: str) -> None:
    report = checker.check(spoken(voice_id, text)).report
    assert 3 <= report.speech_s <= report.duration_s <= 10
    assert report.snr_db > 30
    assert report.clipped_share < 0.0005


def test_silence_around_the_speech_is_cut_off_and_counts_for_nothing(checker: ClipChecker) -> None:
    audio = spoken("bujang")
    around = changed(audio, F.pad(audio.waveform, (6 * audio.sample_rate, 7 * audio.sample_rate)))
    found, expected = checker.check(around), checker.check(audio)
    assert found.report.duration_s == pytest.approx(expected.report.duration_s, abs=0.2)
    assert found.report.speech_s == pytest.approx(expected.report.speech_s, abs=0.25)


def _too_short(audio: Audio) -> Tensor:
    return audio.waveform[: 2 * audio.sample_rate]


def _too_long(audio: Audio) -> Tensor:
    return audio.waveform.repeat(4)


def _far_away(audio: Audio) -> Tensor:
    return audio.waveform * 0.003


def _overdriven(audio: Audio) -> Tensor:
    return (audio.waveform * 2 / audio.waveform.abs().max()).clamp(-1, 1)


def _in_the_wind(audio: Audio) -> Tensor:
    speech_db = level_dbfs(audio.waveform)
    return audio.waveform + noise(len(audio.waveform), speech_db - 11)


@pytest.mark.parametrize(
    ("spoil", "reason", "message"),
    [
        (_too_short, "too-little-speech", r"holds \d\.\d s of speech; at least 3 s are needed"),
        (_too_long, "too-long", r"lasts \d\d\.\d s .* at most 10 s are allowed"),
        (_far_away, "too-quiet", r"level of -\d\d dBFS; at least -45 dBFS"),
        (_overdriven, "clipped", r"\d+\.\d% of the speech is clipped; at most 0\.2%"),
        (_in_the_wind, "too-noisy", r"stands 1\d dB above the noise; at least 15 dB"),
    ],
)
def test_a_spoilt_recording_is_refused_with_what_was_measured(
    checker: ClipChecker, spoil: object, reason: ClipReason, message: str
) -> None:
    audio = spoken("sinip")
    error = refusal(checker, changed(audio, spoil(audio)))  # type: ignore[operator]
    assert error.reason == reason
    with pytest.raises(UnusableClip, match=message):
        raise error


@pytest.mark.parametrize("seconds", [0.0, 1 / 24_000, 0.5, 5.0])
def test_silence_and_noise_hold_no_speech(checker: ClipChecker, seconds: float) -> None:
    num_samples = round(24_000 * seconds)
    for waveform in (torch.zeros(num_samples), noise(num_samples, LEVEL_OF_SPEECH_DB)):
        assert refusal(checker, Audio(waveform, 24_000)).reason == "too-little-speech"


def test_two_people_one_after_the_other_are_refused(checker: ClipChecker) -> None:
    bujang, sinip = spoken("bujang"), spoken("sinip")
    half = 4 * bujang.sample_rate
    both = torch.cat([bujang.waveform[:half], sinip.waveform[:half]])
    error = refusal(checker, changed(bujang, both))
    assert error.reason == "several-speakers"
    assert error.measured < error.limit


def test_one_person_in_two_sentences_passes(checker: ClipChecker) -> None:
    first, second = spoken("bujang"), spoken("bujang", OTHER_LINE)
    half = 4 * first.sample_rate
    joined = torch.cat([first.waveform[:half], second.waveform[:half]])
    assert checker.check(changed(first, joined)).report.least_similarity > 0.75


def test_a_clip_of_another_person_can_not_be_added(checker: ClipChecker) -> None:
    clip = checker.check(spoken("bujang"))
    checker.check_same_speaker(clip, spoken("bujang", OTHER_LINE))
    with pytest.raises(UnusableClip, match="similarity of 0.* to the voice it is added to"):
        checker.check_same_speaker(clip, spoken("sinip"))


@pytest.mark.parametrize("added_db", [10.0, 20.0, 30.0])
def test_added_noise_is_measured_to_a_decibel(added_db: float) -> None:
    audio = spoken("bujang")
    speech = audio.waveform[audio.sample_rate // 2 : 4 * audio.sample_rate]
    noisy = speech + noise(len(speech), level_dbfs(speech) - added_db)
    assert signal_to_noise_db(noisy, audio.sample_rate) == pytest.approx(added_db, abs=1.3)


def test_a_sine_has_no_flat_tops_and_a_clipped_one_has() -> None:
    sine = torch.sin(torch.arange(24_000) * 0.3)
    assert clipped_share(sine) == 0
    assert clipped_share((2 * sine).clamp(-1, 1)) > 0.3


def test_a_second_voice_is_found_wherever_it_speaks() -> None:
    one, other = torch.eye(2)
    for start in (0, 5, 9):
        windows = one.repeat(16, 1)
        windows[start : start + 7] = other
        assert least_similarity(windows) < 1e-6
    assert least_similarity(one.repeat(16, 1)) == pytest.approx(1)


def test_a_clip_too_short_to_divide_has_one_speaker() -> None:
    assert least_similarity(torch.eye(6)) == 1.0
