"""Lines of training data: what a text must not be continued with."""

from __future__ import annotations

import random

import pytest

from models.persona.training_lines import TrainingLines
from training.persona.statistics import longest_copy

LINES = ("회의는 세 시입니다.", "회의는 네 시입니다.", "네.", "시간은 세 시간입니다.")


def completions(text: str, max_chars: int, longest_piece: int = 3) -> set[str]:
    lines = TrainingLines("".join(f"{line}\n" for line in LINES))
    return lines.completions(text, max_chars=max_chars, longest_piece=longest_piece)


def test_a_copy_may_grow_to_its_bound_and_no_further() -> None:
    assert completions("회의", 4) == {"는 세", "는 네"}
    assert completions("회의는", 4) == {" 세", " 네"}
    assert completions("회의는 ", 4) == {"세", "네"}


def test_what_stands_before_the_copy_does_not_count() -> None:
    assert completions("저희 회의는 ", 4) == {"세", "네"}
    assert completions("저희 의는 ", 4) == {"세 ", "네 "}


def test_a_copy_that_is_too_long_already_is_not_continued() -> None:
    assert completions("회의는 세 시", 4) == {"입", "간", "입니다"}


def test_a_copy_ends_with_its_line() -> None:
    assert completions("다.", 2) == set()
    assert completions("네.", 2) == set()


def test_a_text_too_short_to_tell_is_free() -> None:
    assert completions("회", 4) == set()
    assert completions("", 4) == set()


@pytest.mark.parametrize("max_chars", [1, 2, 3, 5])
def test_guarded_texts_never_copy_more_than_they_may(max_chars: int) -> None:
    rng = random.Random(max_chars)
    rows = ["".join(rng.choices("가나다", k=12)) for _ in range(4)]
    lines = TrainingLines("\n".join(rows))
    pieces = ["가", "나", "다", "가나", "다다", "나가다", "라"]
    was_stopped = False

    for _ in range(20):
        text = ""
        while len(text) < 40:
            banned = lines.completions(text, max_chars=max_chars, longest_piece=3)
            # A piece may be a copy of its own accord; nothing stands before it to look at.
            free = [piece for piece in pieces if len(longest_copy(piece, rows)) <= max_chars]
            allowed = [piece for piece in free if not piece.startswith(tuple(banned))]
            was_stopped |= len(allowed) < len(free)
            text += rng.choice(allowed)
        assert len(longest_copy(text, rows)) <= max_chars

    assert was_stopped
