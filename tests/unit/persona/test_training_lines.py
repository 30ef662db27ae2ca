"""Lines of training data: what a text must not be continued with."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from models.persona.training_lines import MAX_RUN_CHARS, TrainingLines
from training.persona.statistics import longest_copy

# Many things that follow one character.
PAIRS = [f"가{chr(ord('가') + idx)}" for idx in range(10_000)]
LINES = ("회의는 세 시입니다.", "회의는 네 시입니다.", "네.", "시간은 세 시간입니다.")


def beginnings(pieces: Sequence[str], longest_piece: int = 3) -> list[list[str]]:
    sizes = range(1, longest_piece + 1)
    return [sorted({piece[:size] for piece in pieces if len(piece) >= size}) for size in sizes]


def completions(text: str, max_chars: int, written: Sequence[str] = LINES) -> set[str]:
    lines = TrainingLines("".join(f"{line}\n" for line in written))
    pieces = [line[start:] for line in LINES for start in range(len(line))]
    found = lines.completions(text, max_chars=max_chars, beginnings=beginnings(pieces))
    shorter = {part: {part[:size] for size in range(len(part))} for part in found}
    return {part for part in found if found.isdisjoint(shorter[part])}


def test_a_copy_may_grow_to_its_bound_and_no_further() -> None:
    assert completions("회의", 4) == {"는 세", "는 네"}
    assert completions("회의는", 4) == {" 세", " 네"}
    assert completions("회의는 ", 4) == {"세", "네", " 세", " 네"}


def test_what_stands_before_the_copy_does_not_count() -> None:
    assert completions("저희 회의는", 4) == {" 세", " 네"}
    assert completions("저희 의는", 4) == {" 세 ", " 네 "}


def test_a_copy_that_is_too_long_already_is_not_continued() -> None:
    assert completions("회의는 세 시", 4) == {"입", "간"}


def test_a_copy_ends_with_its_line() -> None:
    assert completions("다.", 2) == set()
    assert completions("네.", 2) == set()


def test_a_text_too_short_to_tell_is_free() -> None:
    assert completions("회", 4) == set()
    assert completions("", 4) == set()


def test_what_no_piece_begins_with_is_left_out() -> None:
    lines = TrainingLines("가나다라\n가나마바\n")
    found = lines.completions("가나", max_chars=3, beginnings=beginnings(["마바사", "다"]))
    assert found == {"마바"}


@pytest.mark.parametrize("blanks", ["  ", "\t", "\n", "\N{NO-BREAK SPACE} "])
def test_blanks_do_not_hide_a_copy(blanks: str) -> None:
    assert completions(f"회의는{blanks}", 4) == {"세", "네", " 세", " 네"}
    spread = [line.replace(" ", blanks) for line in LINES] if blanks != "\n" else LINES
    assert completions("회의는", 4, spread) == {" 세", " 네"}


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_line_is_a_line_however_it_ends(end: str) -> None:
    lines = TrainingLines(f"네.{end or chr(10)}가나다{end}")
    assert lines.completions("가나", max_chars=2, beginnings=beginnings(["다", "."])) == {"다"}
    assert lines.completions("다", max_chars=1, beginnings=beginnings(["네", "가", "."])) == set()


def test_without_lines_nothing_is_a_copy() -> None:
    assert completions("회의는", 4, []) == set()


def test_the_longest_bound_is_kept() -> None:
    row = "".join(chr(ord("가") + idx) for idx in range(70))
    lines = TrainingLines(row)
    parts = beginnings([row[64:]])

    assert lines.completions(row[:63], max_chars=MAX_RUN_CHARS, beginnings=parts) == set()
    found = lines.completions(row[:64], max_chars=MAX_RUN_CHARS, beginnings=parts)
    assert found == {row[64], row[64:66], row[64:67]}


@pytest.mark.parametrize("written", ["가" * 20_000, "가나" * 10_000, "".join(PAIRS)])
def test_a_run_that_stands_everywhere_is_looked_up_in_few_steps(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = TrainingLines(written)
    read_at: list[int] = []

    def run(start: int, width: int) -> str:
        read_at.append(start)
        return written[start : start + width]

    monkeypatch.setattr(lines, "_run", run)
    parts = beginnings(["가가", "나", "다라"])

    assert lines.completions("다가", max_chars=1, beginnings=parts)
    lines.completions("가" * 20, max_chars=2, beginnings=parts)
    assert len(read_at) < 500


@pytest.mark.parametrize("max_chars", [1, 2, 3, 5])
def test_guarded_texts_never_copy_more_than_they_may(max_chars: int) -> None:
    rng = random.Random(max_chars)
    rows = ["".join(rng.choices("가나다", k=12)) for _ in range(4)]
    lines = TrainingLines("\n".join(rows))
    pieces = ["가", "나", "다", "가나", "다다", "나가다", "라"]
    parts = beginnings(pieces)
    was_stopped = False

    for _ in range(20):
        text = ""
        while len(text) < 40:
            banned = lines.completions(text, max_chars=max_chars, beginnings=parts)
            # A piece may be a copy of its own accord; nothing stands before it to look at.
            free = [piece for piece in pieces if len(longest_copy(piece, rows)) <= max_chars]
            allowed = [piece for piece in free if not piece.startswith(tuple(banned))]
            was_stopped |= len(allowed) < len(free)
            text += rng.choice(allowed)
        assert len(longest_copy(text, rows)) <= max_chars

    assert was_stopped
