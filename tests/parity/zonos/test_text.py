"""Text to symbol ids, as the reference makes them."""

import pytest

from models.zonos.phonemes import phonemize
from models.zonos.reference_text import expand_numbers
from models.zonos.symbols import ids_of
from models.zonos.text import reference_spoken_form
from tests.parity.zonos.fill import GOLDEN
from tests.parity.zonos.libraries import needs_espeak, needs_japanese

CASES: list[dict[str, str]] = GOLDEN.json("text_ids.json")["cases"]


@pytest.mark.parametrize("case", GOLDEN.json("numbers.json"), ids=lambda case: case["text"])
def test_numbers_become_the_references_english_words(case: dict[str, str]) -> None:
    assert expand_numbers(case["text"]) == case["normalized"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"])
def test_phonemes_become_the_references_ids(case: dict[str, str]) -> None:
    assert ids_of(case["phonemes"]) == case["ids"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["language"] != "ja"], ids=lambda case: case["text"]
)
def test_text_is_normalised_as_the_reference_does(case: dict[str, str]) -> None:
    assert reference_spoken_form(case["text"], case["language"]) == case["normalized"]


@needs_japanese
@pytest.mark.parametrize(
    "case", [case for case in CASES if case["language"] == "ja"], ids=lambda case: case["text"]
)
def test_japanese_is_read_as_the_reference_does(case: dict[str, str]) -> None:
    assert reference_spoken_form(case["text"], case["language"]) == case["normalized"]


@needs_espeak
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"])
def test_phonemes_equal_the_references(case: dict[str, str]) -> None:
    assert phonemize(case["normalized"], case["language"]) == case["phonemes"]
