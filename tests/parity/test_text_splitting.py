"""The reference's splitting methods by name."""

from typing import Any

import pytest

from models.text.reference_splitting import cut, split_as_reference
from tests.parity.golden import GoldenFolder

GOLDEN: dict[str, Any] = GoldenFolder("gpt_sovits_v2").json("text_split.json")


@pytest.mark.parametrize("name", GOLDEN["outputs"])
def test_split_method_equals_the_reference(name: str) -> None:
    method, _, text = name.partition("/")

    assert cut(GOLDEN["inputs"][text], method) == GOLDEN["outputs"][name]


def test_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="cut0, cut1, cut2, cut3, cut4, cut5"):
        cut("안녕", "cut9")


def test_short_parts_are_joined_and_every_part_ends_with_a_stop() -> None:
    parts = split_as_reference("안녕하세요. 네. 저는 배우입니다", "cut5", "ko")

    assert parts == ["안녕하세요.", " 네. 저는 배우입니다。"]


def test_a_very_short_opening_gets_a_stop_before_it() -> None:
    assert split_as_reference("네, 그렇게 할게요.", "cut0", "ko") == ["。네, 그렇게 할게요."]


def test_no_part_is_longer_than_510_characters() -> None:
    parts = split_as_reference("가나다라마바사아자차, " * 120, "cut0", "ko")

    assert max(map(len, parts)) <= 510
    assert "".join(parts).count("가나다라마바사아자차") == 120
