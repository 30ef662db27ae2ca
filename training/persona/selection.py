"""Which rows train: repeated ones left out, some scenes held out."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from training.persona.rows import Row

_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows held out; no situation is in both."""

    train: tuple[Row, ...]
    held_out: tuple[Row, ...]


def normalized(text: str) -> str:
    """`text` without spacing, punctuation, letter case and look-alike forms."""
    return _NO_WORD.sub("", unicodedata.normalize("NFKC", text).casefold())


def without_repeats(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The first of every row that is the same but for spacing, punctuation and case."""
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        first.setdefault((normalized(row.input), normalized(row.output)), row)
    return tuple(first.values())


def split_rows(rows: Sequence[Row], *, held_out_share: float, seed: int) -> Split:
    """Hold out a share of the situations, drawn by `seed`.

    All rows of a situation go to the same side. The order of `rows` has no say in what is drawn,
    and is kept within each side.

    Args:
        held_out_share: share of the situations, at least one, 0 to below 1. 0 holds out none.

    Raises:
        ValueError: the share is out of bounds, or would leave no situation to train on.
    """
    if not 0 <= held_out_share < 1:
        raise ValueError(f"held_out_share is {held_out_share}; it must be 0 to below 1")
    situations = sorted(
        {normalized(row.scene.situation) for row in rows}, key=lambda text: _draw(seed, text)
    )
    num_held_out = round(held_out_share * len(situations))
    if held_out_share > 0:
        num_held_out = max(1, num_held_out)
    if num_held_out >= len(situations):
        raise ValueError(
            f"holding out {num_held_out} of {len(situations)} situations leaves none to train on"
        )
    held_out = set(situations[:num_held_out])
    is_held_out = [normalized(row.scene.situation) in held_out for row in rows]
    return Split(
        train=tuple(row for row, out in zip(rows, is_held_out, strict=True) if not out),
        held_out=tuple(row for row, out in zip(rows, is_held_out, strict=True) if out),
    )


def _draw(seed: int, situation: str) -> bytes:
    return hashlib.sha256(f"{seed}:{situation}".encode()).digest()
