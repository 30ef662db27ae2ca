import pytest

from models.audio.clip import TranscriptMismatch, check_transcript, prompt_phoneme_ids
from models.text.errors import TextError
from models.text.frontend import analyze


@pytest.mark.parametrize(
    ("given", "heard"),
    [
        ("사과 3개 주세요.", "사과 세 개 주세요"),
        ("같이 갑시다!", "가치 갑씨다"),
        ("오늘 회식은 제가 살 테니까요.", "오늘 회시근 제가 살테니까요"),
        ("AI가 대답해요.", "에이아이가 대답해요."),
    ],
)
def test_what_sounds_alike_is_the_same_transcript(given: str, heard: str) -> None:
    check_transcript(given, heard, "ko")


@pytest.mark.parametrize(
    "heard",
    ["내일 아침 회의 자료를 보내 드릴게요.", "", "!?", "ご視聴ありがとうございました", "가" * 400],
)
def test_another_text_is_refused_with_both(heard: str) -> None:
    with pytest.raises(TranscriptMismatch) as refused:
        check_transcript("오늘 회식은 제가 살 테니까요.", heard, "ko")
    assert "오늘 회식은" in str(refused.value)
    assert (refused.value.heard, refused.value.error_rate > 0.5) == (heard, True)


def test_english_is_compared_as_it_is_read() -> None:
    check_transcript("Nice to meet you.", "nice to meet you", "en")
    with pytest.raises(TranscriptMismatch):
        check_transcript("Nice to meet you.", "where did all of them go", "en")


@pytest.mark.parametrize("given", ["", "…", "가" * 301])
def test_a_transcript_that_can_not_be_read_is_refused(given: str) -> None:
    with pytest.raises(TextError):
        check_transcript(given, "안녕하세요", "ko")


def test_a_prompt_ends_with_a_mark() -> None:
    (segment,) = analyze("안녕하세요.", "ko")
    assert prompt_phoneme_ids("안녕하세요", "ko") == segment.phoneme_ids
    assert prompt_phoneme_ids(" 안녕하세요. ", "ko") == segment.phoneme_ids
