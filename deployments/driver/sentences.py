"""Text that is still being written, cut into sentences as soon as each is complete."""

from __future__ import annotations

import re

from models.text.splitting import first_clause_end

# A voice that takes 0.35 s for a second of speech has said the rest of the sentence before this
# much is heard.
_FIRST_LETTERS = 8
# A clause that is longer is no earlier than its sentence.
_FIRST_CHARS = 80
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)|\n+")


class SentenceStream:
    """Collects text deltas and hands out whole sentences; the first one may come in two clauses.

    Its first clause is handed out by itself, once the word after it is there: who listens hears it
    while the rest is being written.

    Deltas are whole words, as `LineCleaner` releases them: it has seen what follows, so an end mark
    that ends a delta ends its sentence, and nobody waits for the next one to be heard. Marks alone
    are no sentence: they wait for the words after them, and are dropped if none come.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._is_first = True

    def feed(self, delta: str) -> list[str]:
        """Add text; return the sentences, and perhaps the first clause, that it completes."""
        self._pending += delta
        sentences = []
        start = self._end_of_first_clause()
        if start:
            sentences.append(self._pending[:start].strip())
        for match in _SENTENCE_END.finditer(self._pending, start):
            piece = self._pending[start : match.end()]
            if _has_words(piece):
                sentences.append(piece.strip())
                start = match.end()
        self._pending = self._pending[start:]
        self._is_first = self._is_first and not sentences
        return sentences

    def _end_of_first_clause(self) -> int:
        """0 once something was handed out, and where the sentence ends no later."""
        if not self._is_first:
            return 0
        end = first_clause_end(self._pending, _FIRST_LETTERS, _FIRST_CHARS) or 0
        sentence = _SENTENCE_END.search(self._pending)
        return 0 if sentence and sentence.end() <= end else end

    def flush(self) -> list[str]:
        """What is left once the text has ended."""
        rest, self._pending = self._pending.strip(), ""
        return [rest] if _has_words(rest) else []


def _has_words(text: str) -> bool:
    return any(char.isalnum() for char in text)
