from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.kokoro.__main__ import embedded_voice
from models.kokoro.errors import InvalidVoice, NothingToSpeak, OutOfRange
from models.kokoro.loudness import integrated_lufs, match_loudness, true_peak
from models.kokoro.model import SAMPLE_RATE
from models.kokoro.pipeline import KokoroEngine, speak
from models.kokoro.voice import KokoroVoice
from models.text.errors import TextError

SENTENCE = "오느른 날씨가 참 조씀니다."


@pytest.fixture(scope="module")
def bujang() -> KokoroVoice:
    return embedded_voice("bujang")


@pytest.fixture(scope="module")
def sinip() -> KokoroVoice:
    return embedded_voice("sinip@1")


def test_voices_in_interleaved_order_sound_as_alone(
    engine: KokoroEngine, bujang: KokoroVoice, sinip: KokoroVoice
) -> None:
    alone = engine.synthesize_segment(SENTENCE, bujang)
    other = engine.synthesize_segment(SENTENCE, sinip, "happiness", 1.2)
    assert engine.synthesize_segment(SENTENCE, bujang).tobytes() == alone.tobytes()
    assert engine.synthesize_segment(SENTENCE, sinip, "happiness", 1.2).tobytes() == other.tobytes()


def test_voices_and_emotions_are_equally_loud_and_do_not_clip(
    engine: KokoroEngine, bujang: KokoroVoice, sinip: KokoroVoice
) -> None:
    for voice in (bujang, sinip):
        for emotion in ("neutral", "happiness", "sadness"):
            waveform = engine.synthesize_segment(SENTENCE, voice, emotion)
            assert true_peak(waveform) <= 10 ** (voice.true_peak_dbtp / 20) * 1.0001
            assert integrated_lufs(waveform) == pytest.approx(voice.loudness_lufs, abs=1.0)


def test_segment_ends_with_the_pause_of_its_mark(engine: KokoroEngine, bujang: KokoroVoice) -> None:
    waveform = engine.synthesize_segment("가자.", bujang)
    pause_samples = round(bujang.pause_s("가자.") * SAMPLE_RATE)
    assert pause_samples > 0
    assert not np.any(waveform[-pause_samples:])
    assert np.any(waveform[-pause_samples - SAMPLE_RATE // 10 : -pause_samples])


def test_faster_speech_is_shorter(engine: KokoroEngine, bujang: KokoroVoice) -> None:
    slow, fast = (len(engine.synthesize_segment(SENTENCE, bujang, speed=s)) for s in (0.8, 1.6))
    assert fast < 0.7 * slow


def test_pitch_shift_keeps_duration(engine: KokoroEngine, document: dict[str, Any]) -> None:
    durations = []
    for semitones in (0.0, 3.0):
        document["kokoro"]["pitch_semitones"] = semitones
        voice = KokoroVoice.from_document(document)
        durations.append(len(engine.synthesize_segment(SENTENCE, voice)))
    assert durations[1] == pytest.approx(durations[0], rel=0.1)


def test_segments_joined_are_the_whole_text(engine: KokoroEngine, bujang: KokoroVoice) -> None:
    parts = [
        engine.synthesize_segment(text, bujang) for text in ("오느른 날씨가 조타.", "바다에 가자!")
    ]
    whole = speak("오늘은 날씨가 좋다. 바다에 가자!", bujang, engine)
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("nothing", ["", " ", "...", "?!", "hm"])
def test_segment_without_hangul_is_refused(
    engine: KokoroEngine, bujang: KokoroVoice, nothing: str
) -> None:
    with pytest.raises(NothingToSpeak):
        engine.synthesize_segment(nothing, bujang)


@pytest.mark.parametrize("nothing", ["", "...?!"])
def test_text_that_nobody_could_read_is_refused(
    engine: KokoroEngine, bujang: KokoroVoice, nothing: str
) -> None:
    with pytest.raises(TextError):
        speak(nothing, bujang, engine)


def test_speed_outside_its_limits_is_refused(engine: KokoroEngine, bujang: KokoroVoice) -> None:
    with pytest.raises(OutOfRange, match="speed is 3.0; it must be from 0.5 to 2.0"):
        engine.synthesize_segment(SENTENCE, bujang, speed=3.0)


def test_style_that_the_network_lacks_is_named(
    engine: KokoroEngine, document: dict[str, Any]
) -> None:
    document["kokoro"]["timbre"] = {"nobody": 1.0}
    with pytest.raises(InvalidVoice, match="no style 'nobody'; it has jf_alpha"):
        engine.synthesize_segment(SENTENCE, KokoroVoice.from_document(document))


def test_peaks_are_limited_and_the_rest_keeps_its_gain() -> None:
    tone = (0.05 * np.sin(np.arange(SAMPLE_RATE) * 0.25)).astype(np.float32)
    tone[12_000] = 0.9
    matched = match_loudness(tone, lufs=-18.0, max_true_peak_dbtp=-1.0)
    gain = 10 ** ((-18.0 - integrated_lufs(tone)) / 20)
    assert gain * 0.9 > 1.0 > true_peak(matched)
    np.testing.assert_allclose(matched[:10_000], tone[:10_000] * gain, rtol=1e-4)


def test_utterance_shorter_than_a_gating_block_is_measured() -> None:
    tone = (0.1 * np.sin(np.arange(2400) * 0.25)).astype(np.float32)
    assert integrated_lufs(tone) == pytest.approx(integrated_lufs(np.tile(tone, 20)), abs=0.1)


def test_silence_stays_silence() -> None:
    silence = np.zeros(4800, np.float32)
    assert not np.any(match_loudness(silence, -20.0, -1.0))


def test_a_segment_too_long_for_the_network_is_spoken_in_halves(engine: KokoroEngine) -> None:
    voice = embedded_voice("sinip")
    whole = engine.synthesize_segment("가나다라마바사" * 40, voice)
    half = engine.synthesize_segment("가나다라마바사" * 20, voice)
    np.testing.assert_array_equal(whole, np.concatenate((half, half)))
