from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.kokoro.korean_ipa import to_ipa


@pytest.mark.parametrize(
    ("pronounced", "ipa"),
    [
        ("가", "ka"),
        ("아가", "aɡa"),
        ("안다", "anda"),
        ("부부", "pubu"),
        ("자주", "ʨaʥu"),
        ("각가", "kakka"),
        ("까", "ʔka"),
        ("아빠", "aʔpa"),
        ("파", "pʰa"),
        ("차", "ʨʰa"),
        ("사", "sa"),
        ("시", "ɕi"),
        ("쉬", "ɕɥi"),
        ("씨", "ɕɕi"),
        ("라", "ɾa"),
        ("나라", "naɾa"),
        ("달라", "talla"),
        ("말", "mal"),
        ("강아지", "kaŋaʥi"),
        ("희망", "himaŋ"),
        ("의사", "ɰisa"),
        ("져", "ʨʌ"),
        ("여왕", "jʌwaŋ"),
        ("외", "we"),
    ],
)
def test_hangul_becomes_the_ipa_of_its_place(pronounced: str, ipa: str) -> None:
    assert to_ipa(pronounced) == ipa


def test_stops_are_not_voiced_after_a_space_or_a_mark() -> None:
    assert to_ipa("나 가") == "na ka"
    assert to_ipa("나,가") == "na,ka"


def test_clusters_that_were_never_pronounced_still_get_a_sound() -> None:
    assert to_ipa("값, 닭, 삶, 밖") == "kap, tak, sam, pak"


def test_marks_are_kept_or_translated_and_the_rest_is_silent() -> None:
    assert to_ipa("네…  음～\n“좋아”!") == "ne… ɯm ʨoa!".replace("ʨoa", to_ipa("좋아"))
    assert to_ipa("A가1나😀") == "kana"
    assert to_ipa("。！？、") == ".!?,"


def test_every_syllable_is_spelled_in_symbols_of_the_vocabulary(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text())["vocab"]
    syllables = [chr(code) for code in range(ord("가"), ord("힣") + 1)]
    spelled = "".join(to_ipa(f"{syllable}{syllable} {syllable}") for syllable in syllables)
    assert set(spelled) <= set(vocabulary)
    assert all(to_ipa(syllable) for syllable in syllables)
