"""Korean speech levels, seen at the end of a sentence.

A sentence shows its level by how it ends: polite ones (존댓말) end in 요, 습니다, 습니까 or the
like, all others count as plain (반말).
"""

from __future__ import annotations

import re
from typing import Literal

SpeechLevel = Literal["plain", "polite"]

SENTENCE_MARKS = ".!?…~"

# 합니다 is polite and 아니다 is not: the syllable before 니다 and 니까 ends in ㅂ, the 17th of the
# 28 finals by which Hangul syllables are ordered from U+AC00.
_B_FINAL = f"[{''.join(chr(code) for code in range(0xAC00 + 17, 0xD7A4, 28))}]"
_POLITE_ENDING = rf"(?:요|죠|{_B_FINAL}니다|{_B_FINAL}니까|시오)"
_POLITE_ANSWER = r"(?:^|[.!?…~,]\s*)(?:네|예)"
_POLITE_END = re.compile(rf"(?:{_POLITE_ENDING}|{_POLITE_ANSWER})$")
_PLAIN_STATEMENT_END = re.compile(rf"(?<!{_B_FINAL}니)다$")
# Clauses that only join the next one: 웃으며, 가면서, 먹거나.
_UNFINISHED = re.compile(r"(?:며|면서|거나|,)$")
# Nouns in 요 that a plain sentence needs.
_POLITE_PIECE = re.compile(
    rf"(?:(?<![필중주수강개])요|죠|(?:^|{_B_FINAL})니다|{_B_FINAL}니까|시오)$"
)


def level_of(sentence: str) -> SpeechLevel:
    """The level a sentence ends in; punctuation after its last word does not matter."""
    words = sentence.rstrip(SENTENCE_MARKS + ", ")
    return "polite" if _POLITE_END.search(words) else "plain"


def is_polite_piece(piece: str) -> bool:
    """Whether a token's text ends like a polite verb, so that a plain line never needs it."""
    return _POLITE_PIECE.search(piece) is not None


def may_end_sentence(text: str, level: SpeechLevel) -> bool:
    """Whether a sentence mark may follow `text` in a line that keeps to `level`."""
    text = text.rstrip()
    if not text or _UNFINISHED.search(text):
        return False
    return text[-1] in SENTENCE_MARKS or level_of(text) == level


def may_pause(text: str, level: SpeechLevel) -> bool:
    """Whether a comma may follow: not after an ending that finishes a sentence of the other level.

    Without this a model that may not end its sentence joins the next one to it by a comma.
    """
    text = text.rstrip()
    if level == "polite":
        return not _PLAIN_STATEMENT_END.search(text)
    return level_of(text) == "plain"


def may_end_line(text: str) -> bool:
    """Whether the line is at the end of a sentence."""
    return text.rstrip().endswith(tuple(SENTENCE_MARKS))
