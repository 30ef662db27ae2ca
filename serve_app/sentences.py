"""Text that is still being written, cut into sentences as soon as each is complete."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s)|\n+")


class SentenceStream:
    """Collects text deltas and hands out whole sentences.

    A sentence counts as complete once the white space after its end mark has arrived, so that
    "3." waits for a possible "3.5" and "…" for the rest of "……".
    """

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, delta: str) -> list[str]:
        """Add text; return the sentences that it completes."""
        self._pending += delta
        sentences = []
        while match := _SENTENCE_END.search(self._pending):
            sentences.append(self._pending[: match.end()])
            self._pending = self._pending[match.end() :]
        return [sentence.strip() for sentence in sentences if sentence.strip()]

    def flush(self) -> list[str]:
        """What is left once the text has ended."""
        rest, self._pending = self._pending.strip(), ""
        return [rest] if rest else []
