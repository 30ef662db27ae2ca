"""The line: what is taken from a model's output, and what of it is certain early."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.persona.line import FinishReason, LineCleaner

outputs = st.lists(
    st.one_of(
        st.sampled_from(
            ["부장", "부장님", ":", " ", "\n", "###", "#", "(웃으며)", "(", ")", '"', "“", "가나"]
            + ["다.", "다! ", "?", "…", "3", ".", ". ", "하하 "]
        ),
        st.text(max_size=4),
    ),
    max_size=40,
).map("".join)


def cleaner(max_chars: int = 40) -> LineCleaner:
    return LineCleaner(stop=("\n", "###"), speaker_names=("부장", "부장님"), max_chars=max_chars)


def clean(output: str, reason: FinishReason = "stop", max_chars: int = 40) -> str:
    whole = cleaner(max_chars)
    return whole.feed(output) + whole.finish(reason)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("  밥 먹자.\n### 입력\n상황: 밤", "밥 먹자."),
        ("밥 먹자.### 입력", "밥 먹자."),
        ("\n\n밥 먹자.", "밥 먹자."),
        ("부장: 밥 먹자.", "밥 먹자."),
        ("부장님 : “밥 먹자.”", "밥 먹자."),
        ("부장이 밥 먹자고 했다.", "부장이 밥 먹자고 했다."),
        ("밥 (배를 두드리며) 먹자.", "밥 먹자."),
        ("밥 먹자. (웃", "밥 먹자."),
        ("**밥**  먹자.", "밥 먹자."),
        ("C# 배우자.", "C# 배우자."),
        ("밥\ud83d\ude0b 먹자.", "밥 먹자."),
    ],
)
def test_only_the_spoken_line_is_kept(output: str, line: str) -> None:
    assert clean(output) == line


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_no_more_is_read_than_a_line_can_be_made_of(size: int) -> None:
    output = "밥 먹자. (" + "가" * 500
    endless = cleaner(max_chars=10)

    pieces = [endless.feed(output[i : i + size]) for i in range(0, len(output), size)]

    assert endless.finish_reason == "length"
    assert "".join(pieces) + endless.finish() == "밥 먹자."
    assert len(endless._raw) == 81


@given(
    outputs,
    st.integers(1, 7),
    st.sampled_from(["stop", "length", "time"]),
    st.sampled_from([10, 40]),
)
def test_pieces_joined_are_the_line_however_the_output_is_cut(
    output: str, size: int, reason: FinishReason, max_chars: int
) -> None:
    by_piece = cleaner(max_chars)
    pieces = [by_piece.feed(output[i : i + size]) for i in range(0, len(output), size)]
    pieces.append(by_piece.finish(reason))

    assert "".join(pieces) == by_piece.text == clean(output, reason, max_chars)


@pytest.mark.parametrize("blank", ["", " ", "  "])
def test_a_line_as_long_as_it_may_be_is_whole_though_a_blank_follows(blank: str) -> None:
    line = cleaner(max_chars=10)
    pieces = [line.feed(piece) for piece in ("가나다라 마바사아자", blank, "\n")]

    assert "".join(pieces) + line.finish() == "가나다라 마바사아자"
    assert line.finish_reason == "stop"


@given(outputs, st.sampled_from(["stop", "length", "time"]))
def test_a_line_is_one_line_within_its_bound(output: str, reason: FinishReason) -> None:
    line = clean(output, reason)

    assert len(line) <= 40
    assert not any(mark in line for mark in ("\n", "###", '"', "(", ")"))
    assert line == line.strip()


def test_the_first_sentence_is_released_word_by_word() -> None:
    line = cleaner()

    assert [line.feed(piece) for piece in ("오늘", " 점심은", " 뭐")] == ["", "오늘", " 점심은"]


def test_a_later_sentence_is_released_when_it_is_complete() -> None:
    line = cleaner()
    line.feed("그래. ")

    assert [line.feed(piece) for piece in ("밥 먹으러", " 가자.", " 얼")] == [
        "",
        "",
        " 밥 먹으러 가자.",
    ]


def test_a_line_that_is_too_long_ends_after_its_last_whole_sentence() -> None:
    assert clean("가나다. " * 9, max_chars=20) == "가나다. 가나다. 가나다. 가나다."


def test_one_endless_sentence_ends_after_a_whole_word() -> None:
    assert clean("가나다라 " * 9, max_chars=20) == "가나다라 가나다라 가나다라 가나다라…"


def test_an_unfinished_second_sentence_is_dropped_when_tokens_run_out() -> None:
    assert clean("밥 먹자. 그리고 나서", "length") == "밥 먹자."
    assert clean("밥 먹자. 그리고 나서", "stop") == "밥 먹자. 그리고 나서"


@pytest.mark.parametrize("output", ["", "\n", "...", '"!?"', "부장:", "(웃음)"])
def test_output_without_a_word_is_an_empty_line(output: str) -> None:
    line = cleaner()
    released = line.feed(output) + line.finish()

    assert released == ""
    assert line.is_empty


def test_released_text_only_ever_grows() -> None:
    line = cleaner()
    seen = []
    for char in "부장: 야, 3.5층으로 가자. (손짓) 얼른 가자! 늦었다":
        line.feed(char)
        seen.append(line.text)

    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
