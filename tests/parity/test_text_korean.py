"""Korean G2P against the reference: stored sentences, and g2pk2 itself on many more."""

import random
import re
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from models.text.benchmark import evaluate, read_cases
from models.text.frontend import analyze
from models.text.korean import normalize, pronounce
from models.text.korean.phonemes import phones, spell_latin, to_letters
from models.text.splitting import SplitLimits
from models.text.symbols import ids_of
from tests.parity.golden import GoldenFolder

GOLDEN = GoldenFolder("gpt_sovits_v2")
CASES: list[dict[str, Any]] = GOLDEN.json("text_ko.json")


@pytest.mark.parametrize("case", CASES, ids=[case["text"][:20] for case in CASES])
def test_every_stage_of_korean_g2p_equals_the_reference(case: dict[str, Any]) -> None:
    stages = case["stages"]

    assert spell_latin(case["text"]) == stages["latin_to_hangul"]
    assert pronounce(stages["latin_to_hangul"]) == stages["g2pk2"]
    assert to_letters(stages["g2pk2"]) == stages["divided"]
    assert phones(case["text"]) == case["phones"]
    assert ids_of(case["phones"]) == case["ids"]


def test_front_end_gives_the_reference_ids_where_nothing_needs_normalising() -> None:
    plain = [case for case in CASES if re.fullmatch("[가-힣 ,.!?]+", case["text"])]
    plain = [case for case in plain if ".." not in case["text"]]
    whole = SplitLimits(max_chars=10_000, min_chars=10_000, first_chars=None)

    segments = [analyze(case["text"], limits=whole) for case in plain]

    assert plain
    assert [parts[0].phoneme_ids for parts in segments] == [case["ids"] for case in plain]


@pytest.fixture(scope="module")
def g2pk2(session_modules: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The package itself, with an empty stand-in for the NLTK corpus it would download."""
    nltk, corpus = types.ModuleType("nltk"), types.ModuleType("nltk.corpus")
    vars(nltk).update(data=types.SimpleNamespace(find=lambda _name: None), corpus=corpus)
    vars(corpus).update(cmudict=types.SimpleNamespace(dict=dict))
    session_modules.setitem(sys.modules, "nltk", nltk)
    session_modules.setitem(sys.modules, "nltk.corpus", corpus)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its regular expressions predate raw strings
        from g2pk2 import G2p

        reference: Callable[[str], str] = G2p()
    return reference


@pytest.fixture(scope="module")
def session_modules() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_pronunciation_equals_g2pk2_on_random_syllables(g2pk2: Callable[[str], str]) -> None:
    chance = random.Random(20261121)
    syllables = [chr(code) for code in range(ord("가"), ord("힣") + 1)]
    texts = [
        "".join(
            chance.choice(syllables) if chance.random() < 0.85 else chance.choice("  .,!?~-\n/5")
            for _ in range(chance.randint(1, 14))
        )
        for _ in range(150)
    ]

    assert [pronounce(text) for text in texts] == [g2pk2(text) for text in texts]


def test_pronunciation_equals_g2pk2_on_normalised_sentences(g2pk2: Callable[[str], str]) -> None:
    cases = read_cases(GoldenFolder("korean").path("readings.tsv").read_text(encoding="utf-8"))
    texts = [normalize(case.written) for case in cases]

    assert [pronounce(text) for text in texts] == [g2pk2(text) for text in texts]


def test_golden_readings_are_read_right() -> None:
    text = GoldenFolder("korean").path("readings.tsv").read_text(encoding="utf-8")
    cases = list(read_cases(text))

    results = evaluate(cases, [normalize(case.written) for case in cases])

    wrong = [(result.case.written, result.answer) for result in results if not result.is_correct]
    assert len(wrong) <= 0.02 * len(cases), wrong
