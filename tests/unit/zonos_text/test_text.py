"""What is read in which way before espeak-ng, and what is said when it is not there."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.text.errors import EmptyText, TextTooLong, UnsupportedLanguage
from models.zonos.errors import MissingLibrary
from models.zonos.espeak import Espeak
from models.zonos.japanese import japanese_reading, kanji_number
from models.zonos.phonemes import phonemize
from models.zonos.symbols import BEGIN, END, UNKNOWN, ids_of, zonos_language
from models.zonos.text import phoneme_ids, reference_spoken_form, spoken_form
from tests.parity.zonos.libraries import needs_espeak, needs_japanese


def test_korean_numbers_are_read_in_korean() -> None:
    assert spoken_form("3시 30분에", "ko") == "세 시 삼십분에"
    assert reference_spoken_form("3시 30분에", "ko") == "three시 thirty분에"


def test_numbers_of_other_languages_are_left_to_espeak() -> None:
    assert spoken_form("um 8 Uhr", "de") == "um 8 Uhr"
    assert spoken_form("at 8", "en-gb") == "at eight"


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [
        ("ko", "", "ko"),
        ("en", "", "en-us"),
        ("en-gb", "", "en-gb"),
        ("zh", "", "cmn"),
        ("auto", "OK 좋아요", "ko"),
        ("auto", "OK", "en-us"),
    ],
)
def test_a_language_has_the_code_of_espeak(language: str, text: str, code: str) -> None:
    assert zonos_language(language, text) == code


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnsupportedLanguage, match="'tlh' is not known to Zonos; known: af, am"):
        zonos_language("tlh")


def test_a_code_point_without_a_symbol_is_not_dropped() -> None:
    assert ids_of("a☃a") == [BEGIN, ids_of("a")[1], UNKNOWN, ids_of("a")[1], END]


@pytest.mark.parametrize(
    ("digits", "kanji"),
    [
        ("0", "零"),
        ("10", "十"),
        ("11", "十一"),
        ("110", "百十"),
        ("1000", "千"),
        ("10000", "一万"),
        ("11000", "一万千"),
        ("12345678", "千二百三十四万五千六百七十八"),
        ("100000000", "一億"),
        ("1" + "0" * 24, "一" + "零" * 24),
    ],
)
def test_numbers_become_kanji(digits: str, kanji: str) -> None:
    assert kanji_number(digits) == kanji


@needs_japanese
def test_japanese_texts_are_read_side_by_side() -> None:
    text = "今日は良い天気ですね。" * 20
    alone = japanese_reading(text)
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(japanese_reading, [text] * 40)) == {alone}


@needs_espeak
def test_marks_stay_and_a_space_before_them_goes() -> None:
    assert phonemize("Hi !  \n(yo)", "en-us") == "hˈaɪ !  \n(jˈoʊ)"
    assert phonemize("...", "en-us") == "..."


@needs_espeak
def test_a_voice_that_espeak_lacks_is_refused() -> None:
    with pytest.raises(UnsupportedLanguage, match="espeak-ng has no voice for 'nowhere'"):
        Espeak().phonemes("hi", "nowhere")


@needs_espeak
@pytest.mark.parametrize(("language", "code"), [("zh", "cmn"), ("cmn", "cmn"), ("hak", "hak")])
def test_chinese_characters_that_espeak_would_read_in_english_are_refused(
    language: str, code: str
) -> None:
    message = f"espeak-ng 1.51 does not speak Chinese characters in language '{code}'"
    with pytest.raises(UnsupportedLanguage, match=message):
        phoneme_ids("OK 你好", language)


@needs_espeak
@pytest.mark.parametrize(
    ("text", "language"), [("你好", "yue"), ("ngai he hak-ka-ngin", "hak"), ("hello", "zh")]
)
def test_chinese_that_espeak_speaks_is_read(text: str, language: str) -> None:
    code = zonos_language(language)
    assert phoneme_ids(text, language) == ids_of(phonemize(text, code))


def test_what_to_install_is_said_where_espeak_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonemizer.backend.espeak.wrapper", None)
    with pytest.raises(MissingLibrary, match="apt-get install libespeak-ng1; pip install"):
        Espeak()


def test_an_empty_or_endless_text_is_refused() -> None:
    with pytest.raises(EmptyText):
        phoneme_ids(" \n", "ko")
    with pytest.raises(TextTooLong):
        phoneme_ids("가" * 5001, "ko")
