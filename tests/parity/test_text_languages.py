"""Language segments of mixed Korean and English text."""

import re
from typing import Any

import pytest

from models.text.languages import language_pieces
from tests.parity.golden import GoldenFolder

# Script alone decides these. Other signs (°, ♡, emoji), hanja and kana are up to a language-id
# model in the reference, which this project does not run.
_DECIDED_BY_SCRIPT = re.compile("[\x00-\x7f가-힣\u2000-\u206f\u3000-\u303f\uff00-\uffef]*")
CASES: list[dict[str, Any]] = [
    case
    for case in GoldenFolder("gpt_sovits_v2").json("text_lang_segments.json")["cases"]
    if _DECIDED_BY_SCRIPT.fullmatch(case["text"])
    and case["default_lang"] in ("", "ko", "en")
    and {segment["lang"] for segment in case["segments"]} <= {"ko", "en"}
]


@pytest.mark.parametrize("case", CASES, ids=[f"{c['text']}-{c['default_lang']}" for c in CASES])
def test_language_segments_equal_the_reference(case: dict[str, Any]) -> None:
    pieces = language_pieces(case["text"], case["default_lang"])

    assert [{"lang": p.language, "text": p.text} for p in pieces] == case["segments"]


def test_number_after_a_comma_and_a_space_stays_with_the_longer_neighbour() -> None:
    assert [p.text for p in language_pieces("OK, 3시에 봐")] == ["OK, 3", "시에 봐"]
