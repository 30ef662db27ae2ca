import math

import pytest
import torch
from torch import Tensor

from models.audio.loudness import integrated_loudness_lufs, normalize_loudness
from models.audio.trim import trim_silence

RATE = 48_000


def _tone(level_db: float, seconds: float = 5.0, hz: float = 997.0) -> Tensor:
    time = torch.arange(int(seconds * RATE)) / RATE
    return 10 ** (level_db / 20) * torch.sin(2 * math.pi * hz * time)


@pytest.mark.parametrize("level_db", [-20.0, -35.0])
def test_loudness_of_the_standards_tone(level_db: float) -> None:
    # BS.1770: 997 Hz at 0 dBFS in one front channel reads -3.01 LUFS.
    assert integrated_loudness_lufs(_tone(level_db), RATE) == pytest.approx(
        level_db - 3.01, abs=0.05
    )


def test_pauses_do_not_lower_the_loudness() -> None:
    speech = _tone(-20.0)
    with_pause = torch.cat([speech, torch.zeros(5 * RATE), speech])
    assert integrated_loudness_lufs(with_pause, RATE) == pytest.approx(
        integrated_loudness_lufs(speech, RATE), abs=0.3
    )


def test_normalising_reaches_the_target() -> None:
    normalized = normalize_loudness(_tone(-40.0), RATE, target_lufs=-18.0)
    assert integrated_loudness_lufs(normalized, RATE) == pytest.approx(-18.0, abs=0.05)


def test_normalising_never_exceeds_the_peak() -> None:
    click = torch.zeros(RATE)
    click[::4800] = 0.1
    assert normalize_loudness(
        click, RATE, target_lufs=-5.0, max_peak=0.9
    ).abs().max() == pytest.approx(0.9)


def test_silence_has_no_loudness_and_stays_silent() -> None:
    silence = torch.zeros(RATE)
    assert integrated_loudness_lufs(silence, RATE) == -math.inf
    assert torch.equal(normalize_loudness(silence, RATE, -18.0), silence)


def test_a_clip_shorter_than_a_gating_block_is_refused() -> None:
    with pytest.raises(ValueError, match="19200 or more"):
        integrated_loudness_lufs(torch.ones(19_199), RATE)


def test_trimming_keeps_the_speech_and_a_margin() -> None:
    speech = _tone(-20.0, seconds=1.0)
    padded = torch.cat([torch.zeros(RATE), speech, torch.zeros(2 * RATE)])
    trimmed = trim_silence(padded, RATE, keep_ms=100)
    assert torch.equal(trimmed, padded[RATE - 4800 : 2 * RATE + 4800])


def test_trimming_leaves_a_clip_without_silence_alone() -> None:
    speech = _tone(-20.0, seconds=0.5)
    assert torch.equal(trim_silence(speech, RATE), speech)


def test_trimming_silence_leaves_nothing() -> None:
    assert len(trim_silence(torch.zeros(RATE), RATE)) == 0
