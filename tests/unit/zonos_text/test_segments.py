"""How a text is cut, and what each segment's ids are."""

import pytest

from models.text.errors import DictionaryError, UnspeakableText, UnsupportedLanguage
from models.zonos.segments import LIMITS, MAX_SYMBOLS, analyze
from models.zonos.text import phoneme_ids
from tests.parity.zonos.libraries import needs_espeak, needs_japanese

pytestmark = needs_espeak


def test_korean_is_read_by_our_own_rules_and_the_spans_cover_the_text() -> None:
    text = "안녕하세요. 3시 30분에 만나요!"
    segments = analyze(text, "ko")
    assert [segment.reading for segment in segments] == ["안녕하세요.", "세 시 삼십분에 만나요!"]
    assert "".join(text[segment.start : segment.end] for segment in segments) == text
    assert segments[1].phoneme_ids == phoneme_ids("세 시 삼십분에 만나요!", "ko")


def test_another_language_is_cut_at_its_sentences() -> None:
    text = "... Guten Tag! Wie geht es Ihnen? !!"
    segments = analyze(text, "de")
    assert [segment.text for segment in segments] == ["... Guten Tag! ", "Wie geht es Ihnen? !!"]
    assert {segment.language for segment in segments} == {"de"}


@needs_japanese
def test_a_script_without_spaces_is_cut_where_it_grows_too_long() -> None:
    text = "とても良い天気" * 60
    segments = analyze(text, "ja")
    assert "".join(segment.text for segment in segments) == text
    assert all(len(segment.text) <= LIMITS.max_chars for segment in segments)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Es waren 123456, 234567, 345678, 456789, 567891, 678912, 789123 und 891234 Leute."),
        ("en", "9" * 60),
        pytest.param(
            "ja", "売上は123456789円と987654321円と192837465円です。" * 2, marks=needs_japanese
        ),
    ],
)
def test_few_characters_that_take_long_to_speak_are_several_segments(
    language: str, text: str
) -> None:
    segments = analyze(text, language)
    assert len(segments) > 1
    assert "".join(segment.text for segment in segments) == text
    assert all(len(segment.phoneme_ids) <= MAX_SYMBOLS for segment in segments)


@pytest.mark.parametrize("rate", [None, 40.0, 15.0, 10.0, 4.0, 0.0])
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ko", "오늘 회의에서 정한 일을 모두에게 다시 한 번 천천히 말씀드리겠습니다, " * 6),
        ("en", "Tell everybody once more what was decided in the meeting of today, " * 6),
    ],
)
def test_slow_speech_is_divided_so_that_no_segment_takes_longer(
    language: str, text: str, rate: float | None
) -> None:
    pace = 1.0 if rate is None else min(1.0, max(rate, 2.0) / 15.0)
    segments = analyze(text, language, speaking_rate=rate)
    assert "".join(segment.text for segment in segments) == text
    assert all(len(segment.phoneme_ids) <= pace * MAX_SYMBOLS for segment in segments)
    if pace == 1.0:
        assert segments == analyze(text, language)


def test_the_dictionary_wins_in_every_language() -> None:
    (segment,) = analyze("Das ist GPU.", "de", {"GPU": "Geh Peh Uh"})
    assert segment.reading == "Das ist Geh Peh Uh."
    assert segment.phoneme_ids == phoneme_ids("Das ist Geh Peh Uh.", "de")
    with pytest.raises(DictionaryError):
        analyze("Das ist A.", "de", {"A": "B", "B": "A"})


def test_the_language_of_auto_is_that_of_the_text() -> None:
    assert analyze("OK 좋아요", "auto")[0].language == "ko"
    assert analyze("OK then", "auto")[0].language == "en-us"


def test_what_can_not_be_spoken_is_refused() -> None:
    with pytest.raises(UnspeakableText):
        analyze("?! ...", "fr")
    with pytest.raises(UnsupportedLanguage):
        analyze("hello", "tlh")
