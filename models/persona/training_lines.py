"""The lines an adapter was trained on, kept so that it can be stopped from reciting them."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

# Suffixes are sorted by one character more; no rule looks at more.
MAX_RUN_CHARS = 64

_BLANKS = re.compile(r"\s+")
_BLANKS_IN_LINE = re.compile(r"[^\S\n]+")


class TrainingLines:
    """Finds out how a text would go on if it were copied from one of the lines.

    A sorted list of where every suffix begins (Manber and Myers 1990), so that a text is looked up
    by halving. Several blanks count as one, for they are spoken as one.

    Args:
        text: one line of dialogue on each line.
    """

    def __init__(self, text: str) -> None:
        self._text = _BLANKS_IN_LINE.sub(" ", text)
        starts = (start for start, char in enumerate(self._text) if char != "\n")
        in_order = sorted(starts, key=lambda start: self._run(start, MAX_RUN_CHARS + 1))
        self._starts = array("I", in_order)  # a ninth of what a list takes

    def completions(
        self, text: str, *, max_chars: int, beginnings: Sequence[Sequence[str]]
    ) -> set[str]:
        """What may not follow `text`: with it, more than `max_chars` characters would be a copy.

        Args:
            max_chars: 1 to `MAX_RUN_CHARS`.
            beginnings: of the pieces that may be appended: the first sequence holds their first
                characters, the next their first two, and so on, each sorted and none twice. A
                completion that is none of them is left out.

        Returns:
            Whatever begins with one of these is a copy that is too long.
        """
        text = _BLANKS.sub(" ", text)
        found = self._completions(text, max_chars, beginnings)
        if text.endswith(" "):
            # A piece that begins with a blank as well adds none.
            unspaced = self._completions(text[:-1], max_chars, beginnings)
            found |= {completion for completion in unspaced if completion.startswith(" ")}
        return found

    def _completions(
        self, text: str, max_chars: int, beginnings: Sequence[Sequence[str]]
    ) -> set[str]:
        found: set[str] = set()
        for num_known in range(max(1, max_chars + 1 - len(beginnings)), max_chars + 1):
            known = text[-num_known:]
            if len(known) < num_known or not self._has(known):
                break  # nor do the lines have what is longer and ends like it
            found.update(self._runs(max_chars + 1, known, beginnings[max_chars - num_known]))
        return found

    def _runs(self, width: int, known: str, parts: Sequence[str]) -> Iterator[str]:
        """Those of the sorted `parts` that make a run of `width` with `known` before them.

        Leaps from a part to the next run and from a run to the next part, so that a run that
        stands in many places, or a part that stands nowhere, costs next to nothing.
        """
        place = idx = 0
        while idx < len(parts):
            place = self._place(known + parts[idx], width, place)
            run = self._run_at(place, width)
            if not run.startswith(known):
                return
            part = run[len(known) :]
            if part == parts[idx]:
                yield part
                idx += 1
            else:
                idx = bisect_left(parts, part, idx + 1)

    def _has(self, known: str) -> bool:
        """Whether `known` stands in one of the lines."""
        return self._run_at(self._place(known, len(known)), len(known)) == known

    def _place(self, run: str, width: int, first: int = 0) -> int:
        """Where in the order, from `first` on, the runs of `width` that are not before `run` begin.

        All of them may be before it.
        """
        return bisect_left(self._starts, run, first, key=lambda start: self._run(start, width))

    def _run_at(self, place: int, width: int) -> str:
        """The run of `width` at a place in the order; behind the last one, an empty one."""
        return self._run(self._starts[place], width) if place < len(self._starts) else ""

    def _run(self, start: int, width: int) -> str:
        """What stands at `start`, of at most `width` characters: it ends with its line."""
        return self._text[start : start + width].partition("\n")[0]
