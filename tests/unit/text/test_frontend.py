"""Text to segments: splitting, languages, errors."""

import subprocess
import sys

import pytest

from models.text.errors import (
    EmptyText,
    InvalidCharacter,
    TextTooLong,
    UnspeakableText,
    UnsupportedLanguage,
)
from models.text.frontend import analyze
from models.text.korean.phonemes import phones
from models.text.splitting import SplitLimits
from models.text.symbols import NUM_SYMBOLS, ids_of, symbols

WHOLE = SplitLimits(first_chars=None)


def texts(text: str, limits: SplitLimits = WHOLE) -> list[str]:
    return [segment.text for segment in analyze(text, limits=limits)]


def test_symbols_are_732_different_ones_at_their_places() -> None:
    assert len(set(symbols())) == NUM_SYMBOLS
    assert [symbols()[i] for i in (0, 1, 95, 321, 324, 351, 352)] == list("!,_…ㄱ停空")


def test_unknown_phone_becomes_unk() -> None:
    assert ids_of(["ㄱ", "no such phone"]) == [324, symbols().index("UNK")]


def test_segment_carries_the_phonemes_of_its_reading() -> None:
    (segment,) = analyze("사과 3개 주세요.")

    assert segment.reading == "사과 세 개 주세요."
    assert segment.phoneme_ids == ids_of(phones("사과 세 개 주세요."))
    assert (segment.start, segment.end, segment.language) == (0, 10, "ko")


def test_very_short_text_is_padded_for_the_acoustic_model() -> None:
    (segment,) = analyze("네.")

    assert segment.phoneme_ids == ids_of([".", *phones("네.")])


def test_text_splits_after_sentences_and_short_ones_join() -> None:
    assert texts("오늘은 날씨가 좋아요. 산책하러 갈까요? 네. 좋아요, 지금 가요!") == [
        "오늘은 날씨가 좋아요. ",
        "산책하러 갈까요? ",
        "네. 좋아요, 지금 가요!",
    ]


@pytest.mark.parametrize(
    "whole",
    ["010.1234.5678", "2026. 11. 21.", "“지금 가자. 빨리 가자.”", "www.naver.com", "3.14"],
)
def test_no_break_falls_inside_a_number_an_address_or_a_quotation(whole: str) -> None:
    tight = SplitLimits(max_chars=12, min_chars=1, first_chars=3)

    assert any(whole in part for part in texts(f"여기에 적어 둔 것은 {whole} 입니다", tight))


def test_no_break_falls_inside_a_dictionary_entry() -> None:
    tight = SplitLimits(max_chars=8, min_chars=1, first_chars=None)
    entry = "그래. 좋아. 가자."

    parts = analyze(f"제목은 {entry} 끝났다", dictionary={entry: "그래조아가자"}, limits=tight)

    assert any(entry in part.text for part in parts)


def test_first_segment_ends_at_the_first_clause_for_early_audio() -> None:
    first, rest = "오늘은 지난 분기의 성과를 먼저 살펴보고, ", "그다음에 내년 계획을 이야기합니다."
    text = first + rest

    assert texts(text, SplitLimits()) == [first, rest]
    assert texts(text, WHOLE) == [text]


def test_long_sentence_is_cut_at_spaces_within_the_limit() -> None:
    segments = analyze("가나다라 마바사아 " * 40, limits=SplitLimits(max_chars=50))

    assert max(len(segment.reading) for segment in segments) <= 50
    assert all(segment.text.endswith(" ") for segment in segments)


def test_text_without_any_space_is_cut_as_well() -> None:
    segments = analyze("가" * 1_000, limits=SplitLimits(max_chars=100))

    assert max(len(segment.text) for segment in segments) <= 100


def test_silent_sentences_join_their_neighbours() -> None:
    assert texts("😀😀😀.\n안녕하세요, 여러분.\n👍👍👍!") == [
        "😀😀😀.\n안녕하세요, 여러분.\n👍👍👍!"
    ]


def test_mixed_text_speaks_latin_words_in_english_where_asked() -> None:
    (mixed,) = analyze("오늘은 Monday입니다", "auto")
    (korean,) = analyze("오늘은 Monday입니다", "ko")

    assert mixed.language == "auto"
    assert set(ids_of(["M", "AH1", "N", "D"])) <= set(mixed.phoneme_ids)
    assert korean.reading == "오늘은 먼데이입니다"


def test_number_that_touches_hangul_is_korean_in_mixed_text() -> None:
    (segment,) = analyze("OK, 3시에 봐", "auto")

    assert "세 시에 봐" in segment.reading


def test_english_abbreviation_does_not_end_a_sentence() -> None:
    assert len(analyze("Ask Mr. Smith about the 3 tickets.", "en")) == 1


@pytest.mark.parametrize("language", ["zh", "ja", "yue", "tlh"])
def test_unsupported_language_lists_what_is_supported(language: str) -> None:
    with pytest.raises(UnsupportedLanguage, match="supported: ko, en, auto"):
        analyze("你好", language)


def test_japanese_inside_mixed_text_is_refused() -> None:
    with pytest.raises(UnsupportedLanguage, match="こんにちは"):
        analyze("친구가 こんにちは 했다", "auto")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", EmptyText, "empty"),
        (" \n\t ", EmptyText, "empty"),
        ("😀 ♡ ---", UnspeakableText, "read aloud"),
        ("ㅠㅠ!!", UnspeakableText, "read aloud"),
        ("こんにちは", UnspeakableText, "read aloud"),
        ("가" * 5_001, TextTooLong, "5001 characters; allowed: 5000"),
        ("가" * 100_000, TextTooLong, "allowed: 5000"),
        ("안녕\x00하세요", InvalidCharacter, r"U\+0000, at position 2"),
        ("\ud800", InvalidCharacter, r"lone surrogate, U\+D800"),
    ],
)
def test_text_that_cannot_be_spoken_has_its_own_error(
    text: str, error: type[ValueError], message: str
) -> None:
    with pytest.raises(error, match=message):
        analyze(text)


def test_one_letter_at_the_length_limit_is_split_and_spoken() -> None:
    assert sum(len(segment.text) for segment in analyze("ㅋ" * 5_000)) == 5_000
    assert sum(len(segment.text) for segment in analyze("a" * 5_000, "en")) == 5_000


def test_front_end_imports_neither_torch_nor_ray() -> None:
    program = (
        "import sys, models.text.frontend; print([m for m in ('torch', 'ray') if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_warm_up_loads_the_dictionaries_of_both_languages() -> None:
    program = (
        "from models.text.frontend import warm_up; warm_up();"
        "from models.text.english import lexicon, predictor; import wordsegment;"
        "print(lexicon.dictionary.cache_info().currsize, predictor._weights.cache_info().currsize,"
        " len(wordsegment.UNIGRAMS) > 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["1", "1", "True"]
