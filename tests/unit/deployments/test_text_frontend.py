import pytest

from deployments.errors import (
    InvalidInput,
    SpeechError,
    TextTooLong,
    UnspeakableText,
    UnsupportedLanguage,
)
from deployments.text_frontend import analyze


def test_a_text_becomes_pronounced_segments() -> None:
    segments = analyze("사과 3개 주세요. 같이 가요!", "ko", {})
    assert [s.pronounced.replace(" ", "") for s in segments] == ["사과세개주세요.", "가치가요!"]


def test_a_callers_dictionary_wins() -> None:
    (segment,) = analyze("GS 편의점에 가요.", "ko", {"GS": "지에쓰"})
    assert segment.segment.reading.startswith("지에쓰")


@pytest.mark.parametrize(
    ("text", "language", "error"),
    [
        ("", "ko", UnspeakableText),
        ("!? …", "ko", UnspeakableText),
        ("가" * 6000, "ko", TextTooLong),
        ("안녕", "zh", UnsupportedLanguage),
        ("안녕\x00", "ko", InvalidInput),
    ],
)
def test_text_that_can_not_be_spoken_gets_its_own_error(
    text: str, language: str, error: type[SpeechError]
) -> None:
    with pytest.raises(error):
        analyze(text, language, {})


def test_a_dictionary_that_goes_in_circles_is_refused() -> None:
    with pytest.raises(InvalidInput):
        analyze("가나", "ko", {"가": "나", "나": "가"})
