"""English numbers, homographs and words no dictionary has."""

import pytest

from models.text.english import normalize, phones
from models.text.english.lexicon import word_phones
from models.text.english.numbers import cardinal, ordinal, year_like


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It is -12 or -3.", "It isnegative twelve ornegative three."),
        ("100,50 and 1,2", "ten thousand fifty and twelve"),
        ("60km/h", "sixty kilometersh"),
        ("$3.5 and £2", "three dollars and fifty cents and two pounds"),
        ("103rd, 1/2, 3/2", "one hundred and third, one half, three halves"),
        ("3 + 4 = 7", "three plus four Equals seven"),
        ("3. Third", "third, Third"),
        ("50% don’t", "fifty percent dont"),
        ("13:05 and 12:00", "one five p.m. and twelve o'clock p.m."),
        ("hello , world", "hello  world"),
        ("OpenAI", "Open A I"),
    ],
)
def test_normalisation_keeps_the_quirks_of_the_reference(written: str, spoken: str) -> None:
    assert normalize(written) == spoken


def test_numbers_are_worded_as_inflect_words_them() -> None:
    assert cardinal("3456") == "three thousand, four hundred fifty-six"
    assert cardinal("1000005") == "one million five"
    assert ordinal("1234") == "one thousand, two hundred and thirty-fourth"
    assert [year_like(n) for n in ("1005", "1900", "2000", "2005", "2010", "3000")] == [
        "ten oh five",
        "nineteen hundred",
        "two thousand",
        "two thousand five",
        "twenty ten",
        "three thousand",
    ]


def test_homograph_follows_the_word_before_it() -> None:
    assert phones("I want to record a record") == [
        *"AY1 W AA1 N T T UW1".split(),
        *"R IH0 K AO1 R D AH0 R EH1 K ER0 D".split(),
    ]


def test_unknown_word_is_split_into_known_ones_or_predicted() -> None:
    assert word_phones("datacenter") == word_phones("data") + word_phones("center")
    assert word_phones("zorp") == ["Z", "AO1", "R", "P"]


def test_possessive_takes_the_sound_its_stem_asks_for() -> None:
    assert word_phones("chatgpt's")[-1] == "Z"
    assert word_phones("fintech's")[-1] == "S"


def test_short_unknown_word_is_spelled() -> None:
    assert word_phones("ai") == ["EY1", "AY1"]
