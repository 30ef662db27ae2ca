from __future__ import annotations

import pickle

import numpy as np
import pytest

from models.kokoro.errors import NothingToSpeak, OutOfRange, TooManyTokens
from models.kokoro.model import SAMPLE_RATE, KokoroModel, trim_silence
from models.kokoro.pipeline import KokoroEngine


@pytest.fixture
def model(engine: KokoroEngine) -> KokoroModel:
    return engine.model


def test_each_symbol_becomes_one_token_of_the_vocabulary(model: KokoroModel) -> None:
    assert model.tokenize("an ɯ.") == [43, 56, 16, 110, 4]


def test_equal_input_gives_equal_bytes_whatever_came_between(model: KokoroModel) -> None:
    style, other = model.styles["jm_kumo"][50], model.styles["jf_alpha"][50]
    first = model.synthesize("annjʌŋ.", style)
    model.synthesize("tʰoŋil tʰoŋil.", other, speed=1.3)
    assert model.synthesize("annjʌŋ.", style).tobytes() == first.tobytes()


def test_empty_segment_is_refused(model: KokoroModel) -> None:
    with pytest.raises(NothingToSpeak):
        model.tokenize("")


def test_segment_longer_than_the_style_table_is_refused(model: KokoroModel) -> None:
    assert len(model.tokenize("a" * model.max_tokens)) == model.max_tokens == 509
    with pytest.raises(TooManyTokens, match="510 tokens is too long; at most 509 fit"):
        model.tokenize("a" * 510)


def test_too_many_tokens_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(TooManyTokens(600, 509)))
    assert (copy.num_tokens, copy.limit, str(copy)) == (600, 509, str(TooManyTokens(600, 509)))


@pytest.mark.parametrize("speed", [0.0, 0.39, 2.51, float("nan"), float("inf")])
def test_speed_outside_its_limits_is_refused(model: KokoroModel, speed: float) -> None:
    with pytest.raises(OutOfRange, match="speed is"):
        model.synthesize("a.", model.styles["jm_kumo"][1], speed)


def test_trimming_cuts_silence_and_keeps_the_quietest_speech() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    tone = np.sin(np.arange(SAMPLE_RATE) * 0.1).astype(np.float32)
    whisper = tone[: SAMPLE_RATE // 2] * np.float32(0.003)  # 50 dB below the tone
    trimmed = trim_silence(np.concatenate((silence, whisper, tone, whisper, silence)))
    assert len(tone) + 2 * len(whisper) <= len(trimmed) <= 2.1 * SAMPLE_RATE
    assert np.sum(np.square(trimmed)) == pytest.approx(
        np.sum(np.square(np.concatenate((whisper, tone, whisper)))), rel=1e-6
    )


def test_trimming_leaves_pure_silence_alone() -> None:
    silence = np.zeros(1000, np.float32)
    np.testing.assert_array_equal(trim_silence(silence), silence)
