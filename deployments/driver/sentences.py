"""Text that is still being written, cut into sentences as soon as each is complete."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)|\n+")


class SentenceStream:
    """Collects text deltas and hands out whole sentences.

    Deltas are whole words, as `LineCleaner` releases them: it has seen what follows, so an end mark
    that ends a delta ends its sentence, and nobody waits for the next one to be heard. Marks alone
    are no sentence: they wait for the words after them, and are dropped if none come.
    """

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, delta: str) -> list[str]:
        """Add text; return the sentences that it completes."""
        self._pending += delta
        sentences = []
        start = 0
        for match in _SENTENCE_END.finditer(self._pending):
            piece = self._pending[start : match.end()]
            if _has_words(piece):
                sentences.append(piece.strip())
                start = match.end()
        self._pending = self._pending[start:]
        return sentences

    def flush(self) -> list[str]:
        """What is left once the text has ended."""
        rest, self._pending = self._pending.strip(), ""
        return [rest] if _has_words(rest) else []


def _has_words(text: str) -> bool:
    return any(char.isalnum() for char in text)
