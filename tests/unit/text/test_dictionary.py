"""The caller's pronunciation dictionary."""

import pytest

from models.text.errors import DictionaryError
from models.text.frontend import analyze
from models.text.korean.dictionary import MAX_ENTRIES, PronunciationDictionary
from models.text.korean.normalizer import read


def spoken(text: str, entries: dict[str, str]) -> str:
    return read(text, PronunciationDictionary(entries)).text


def test_dictionary_wins_over_every_rule() -> None:
    assert (
        spoken("사과 3개와 2026년", {"3개": "쓰리개", "26년": "투식스년"})
        == "사과 쓰리개와 이천이십육년"
    )
    assert spoken("KBS 보자", {"KBS": "한국방송"}) == "한국방송 보자"
    assert spoken("같이", {"같이": "함께"}) == "함께"


def test_longest_entry_wins() -> None:
    assert spoken("서울역에서", {"서울": "수도", "서울역": "중앙역"}) == "중앙역에서"


def test_latin_entry_matches_whole_words_only() -> None:
    assert spoken("AI와 MAIN", {"AI": "인공지능"}) == "인공지능와 메인"


def test_reading_may_use_other_entries_and_numbers() -> None:
    assert spoken("우리집", {"우리집": "집 3호", "집": "하우스"}) == "하우스 삼호"


def test_dictionary_applies_to_english_too() -> None:
    (segment,) = analyze("Ask Baewoo now.", "en", dictionary={"Baewoo": "bay woo"})

    assert segment.reading == "Ask bay woo now."


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [("AI", "에이아이"), ("ＡＩ", "인공지능")],
            "reads 'AI' as both '에이아이' and '인공지능'",
        ),
        ([("가", "나"), ("나", "다라가")], "lead back to themselves: 가 -> 나 -> 가"),
        ([("서울", "서울시")], "서울 -> 서울"),
        ([("", "가")], "needs both forms"),
        ([("가", " ")], "needs both forms"),
        ([("가" * 101, "나")], "allowed: 100 characters"),
        ([(str(i), "나") for i in range(MAX_ENTRIES + 1)], f"allowed: {MAX_ENTRIES}"),
    ],
)
def test_contradictory_dictionary_is_refused(entries: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(DictionaryError, match=message):
        PronunciationDictionary(entries)


def test_readings_that_multiply_through_one_another_are_refused() -> None:
    doubling = {chr(ord("가") + i): (chr(ord("가") + i + 1) + " ") * 50 for i in range(12)}

    with pytest.raises(DictionaryError, match="allowed: 1000"):
        PronunciationDictionary(doubling)


def test_a_long_chain_of_entries_is_refused() -> None:
    with pytest.raises(DictionaryError, match="allowed: 50 steps"):
        PronunciationDictionary({f"가{i}x": f"가{i + 1}x" for i in range(1999)})


@pytest.mark.parametrize(
    ("text", "entry"),
    [("Baewoo 씨가", ("Baewoo", "배우")), ("우리 AI 시대가", ("AI 시대", "인공지능 시대"))],
)
def test_entry_is_read_in_mixed_text_where_it_crosses_languages(
    text: str, entry: tuple[str, str]
) -> None:
    (segment,) = analyze(text, "auto", dictionary=[entry])

    assert segment.reading == text.replace(*entry)


def test_same_entry_twice_is_no_conflict() -> None:
    assert len(PronunciationDictionary([("AI", "에이아이"), ("AI", "에이아이")])) == 1
