"""The lines an adapter was trained on, kept so that it can be stopped from reciting them."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator

# Suffixes are sorted by this many characters; no rule looks at more.
MAX_RUN_CHARS = 64


class TrainingLines:
    """Finds out how a text would go on if it were copied from one of the lines.

    A sorted list of where every suffix begins (Manber and Myers 1990), so that a text is looked up
    by halving.

    Args:
        text: one line of dialogue on each line.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = sorted(
            (start for start, char in enumerate(text) if char != "\n"),
            key=lambda start: text[start : start + MAX_RUN_CHARS],
        )

    def completions(self, text: str, *, max_chars: int, longest_piece: int) -> set[str]:
        """What may not follow `text`: with it, more than `max_chars` characters would be a copy.

        Args:
            max_chars: 1 to `MAX_RUN_CHARS`.
            longest_piece: characters that are appended at a time, at most; a completion that needs
                more is left out.

        Returns:
            Whatever begins with one of these is a copy that is too long.
        """
        num_known = max(1, max_chars + 1 - longest_piece)
        if len(text) < num_known:
            return set()
        found = set()
        for start in self._places(text[-num_known:]):
            num_alike = self._num_alike(text[:-num_known], start, max_chars - num_known)
            num_missing = max_chars + 1 - num_known - num_alike
            end = start + num_known
            completion = self._text[end : end + num_missing]
            if len(completion) == num_missing and "\n" not in completion:
                found.add(completion)
        return found

    def _places(self, part: str) -> Iterator[int]:
        """Where `part` stands in the lines."""
        text, starts, width = self._text, self._starts, len(part)
        place = bisect_left(starts, part, key=lambda start: text[start : start + width])
        while place < len(starts) and text.startswith(part, starts[place]):
            yield starts[place]
            place += 1

    def _num_alike(self, text: str, start: int, at_most: int) -> int:
        """How many of the characters before `start` are the last ones of `text`."""
        before = self._text[max(0, start - at_most) : start]
        return len(os.path.commonprefix([text[::-1], before[::-1]]))
