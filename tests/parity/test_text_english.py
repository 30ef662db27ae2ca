"""English normalisation and phones against the reference."""

from typing import Any

import pytest

from models.text import english
from models.text.reference import piece_phonemes, reference_phonemes
from tests.parity.golden import GoldenFolder

CASES: list[dict[str, Any]] = GoldenFolder("gpt_sovits_v2").json("text_en.json")


@pytest.mark.parametrize("case", CASES, ids=[case["text"][:30] for case in CASES])
def test_english_phonemes_equal_the_reference(case: dict[str, Any]) -> None:
    spoken = piece_phonemes(case["text"], "en")

    assert english.normalize(case["text"]) == case["norm_text"]
    assert spoken.phones == case["phones"]
    assert spoken.ids == case["ids"]


def test_very_short_text_is_spoken_again_with_a_full_stop_before_it() -> None:
    assert reference_phonemes("네", "ko").phones == piece_phonemes(".네", "ko").phones
    assert reference_phonemes("Hi", "en").norm_text == ". Hi"
