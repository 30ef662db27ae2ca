"""Whisper reads back what the shipped voices say: the measurement behind IPA_NOTES.md."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from models import assets
from models.kokoro.__main__ import embedded_voice
from models.kokoro.model import SAMPLE_RATE
from models.kokoro.pipeline import KokoroEngine, speak
from models.recognition import Recognizer, character_error_rate

EVERYDAY = Path(__file__).parents[3] / "training" / "corpus" / "data" / "everyday.txt"
MAX_CER = 0.2  # far from what speech is that went wrong; IPA_NOTES.md has the figures
MAX_REAL_TIME_FACTOR = 0.6


@pytest.mark.slow
@pytest.mark.parametrize("voice_id", ["bujang", "sinip"])
def test_test_sentences_are_understood_and_spoken_in_time(
    engine: KokoroEngine, voice_id: str
) -> None:
    assets.ensure(assets.WHISPER)
    recognizer = Recognizer()
    voice = embedded_voice(voice_id)
    heard = []
    cpu_s = audio_s = 0.0
    for written in _test_sentences():
        started_s = time.process_time()
        waveform = speak(written, voice, engine)
        cpu_s += time.process_time() - started_s
        audio_s += len(waveform) / SAMPLE_RATE
        heard.append((written, recognizer.transcribe(waveform, SAMPLE_RATE)))
    cer, real_time_factor = character_error_rate(heard), cpu_s / audio_s
    print(f"{voice_id}: CER {cer:.1%}, CPU s per s of speech {real_time_factor:.2f}")
    assert cer <= MAX_CER
    assert real_time_factor <= MAX_REAL_TIME_FACTOR


def _test_sentences() -> list[str]:
    """The second half; the first was looked at while the mapping was made."""
    lines = EVERYDAY.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")][40:]
