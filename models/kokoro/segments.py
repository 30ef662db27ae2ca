"""Cuts a text into segments that are short enough to be spoken well in one go."""

from __future__ import annotations

import re

# A syllable takes about three tokens and the style table ends at 510; well before that the
# network's rhythm gets hasty, so a segment is at most a long sentence.
MAX_SEGMENT_CHARS = 80

_SENTENCE = re.compile(r"[^.!?…\n]+[.!?…]*")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+")
_HANGUL = re.compile("[가-힣]")


def split_into_segments(text: str) -> list[str]:
    """Sentences of `text`; one that is too long is cut at a comma, else between words.

    Joined again, they hold every Hangul syllable of the text, in order.
    """
    sentences = (match[0].strip() for match in _SENTENCE.finditer(text))
    return [
        segment
        for sentence in sentences
        if _HANGUL.search(sentence)
        for segment in _shorten(sentence)
    ]


def _shorten(sentence: str) -> list[str]:
    if len(sentence) <= MAX_SEGMENT_CHARS:
        return [sentence]
    for pieces in (_CLAUSE_END.split(sentence), sentence.split()):
        if len(pieces) > 1:
            return [part for joined in _pack(pieces) for part in _shorten(joined)]
    middle = len(sentence) // 2
    return _shorten(sentence[:middle]) + _shorten(sentence[middle:])


def _pack(pieces: list[str]) -> list[str]:
    """Join neighbours while they fit, so that no more cuts are made than needed."""
    packed = [pieces[0]]
    for piece in pieces[1:]:
        if len(packed[-1]) + 1 + len(piece) <= MAX_SEGMENT_CHARS:
            packed[-1] += " " + piece
        else:
            packed.append(piece)
    return packed
