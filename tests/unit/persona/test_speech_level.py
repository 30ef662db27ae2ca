"""Speech levels by sentence endings."""

from __future__ import annotations

import pytest

from models.persona.speech_level import (
    is_polite_piece,
    level_of,
    may_end_line,
    may_end_sentence,
    may_pause,
)


@pytest.mark.parametrize(
    "sentence",
    ["알겠습니다.", "그런가요?", "그렇죠!", "드실까요?", "합니까?", "앉으십시오.", "네."],
)
def test_polite_endings_are_polite(sentence: str) -> None:
    assert level_of(sentence) == "polite"


@pytest.mark.parametrize(
    "sentence", ["아니다.", "밥 먹자!", "뭐야?", "비가 오니까.", "좋네.", "그 사람 참 다니다 말다…"]
)
def test_other_endings_are_plain(sentence: str) -> None:
    assert level_of(sentence) == "plain"


def test_a_sentence_may_end_only_in_its_level() -> None:
    assert may_end_sentence("밥을 먹었다", "plain")
    assert not may_end_sentence("밥을 먹었다", "polite")
    assert may_end_sentence("밥을 먹었습니다", "polite")
    assert not may_end_sentence("밥을 먹었습니다", "plain")
    assert not may_end_sentence("", "plain")
    assert not may_end_sentence("그런데,", "plain")
    assert not may_end_sentence("웃음을 참으며", "plain")


def test_marks_may_follow_marks() -> None:
    assert may_end_sentence("뭐야?", "plain")
    assert may_end_sentence("그렇습니다.", "polite")


def test_a_comma_does_not_replace_an_end_of_the_other_level() -> None:
    assert not may_pause("밥을 먹었다", "polite")
    assert not may_pause("밥을 먹어요", "plain")
    assert may_pause("비가 오니까", "plain")
    assert may_pause("부장님", "polite")


def test_a_line_ends_only_after_a_sentence() -> None:
    assert may_end_line("밥 먹자. ")
    assert not may_end_line("밥 먹자")
    assert not may_end_line("")


def test_nouns_in_yo_are_no_polite_endings() -> None:
    assert [is_polite_piece(piece) for piece in ("어요", "습니다", "니다", "죠")] == [True] * 4
    assert [is_polite_piece(piece) for piece in ("필요", "중요", "아니다", "요리")] == [False] * 4
