"""Splits text into what is synthesised in one go: sentences, and clauses of long ones.

A break never falls inside a number, a Latin word, a dictionary entry or a quotation. The first
segment may be cut short at a clause, so that the first audio is early.

What sounds too long for the acoustic model even so, a web address of a thousand letters say, is
divided in halves (`halved`), wherever that hurts least.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from models.text.reading import Piece

_OPENING = {
    "“": "”",
    "‘": "’",
    "「": "」",
    "『": "』",
    "«": "»",
    "《": "》",
    "〈": "〉",
    "(": ")",
    "[": "]",
    '"': '"',
}
_SENTENCE_END = re.compile(r"[.!?…。！？~♡♥]+[\"'”’」』)\]]*(?=\s|$)|[。！？]+|\n+")
_CLAUSE_END = re.compile(r"[,;:、，；：](?=\s|[^\d])|(?:—|…)(?=.)")
# Endings of a Korean clause that goes on: -고, -며, -지만, -는데, -니까, -면, -서, -도록 ... Not so
# 사고, 화면 and other nouns that end alike, nor what is quoted (간다고), nor where an auxiliary
# verb or the very word that was meant follows: 먹고 있다, 보고 싶다, 하면 된다, 가려고 한다.
_CONNECTIVE = re.compile(
    r"(?:[가-힣](?:며|지만|는데|은데|니까|도록|려고|면서|거나|지만요|더니|으니|으나|느라|자마자)"
    r"|[가-힣][어아해라여려워]서|[^\W바]다가"
    r"|[^\W사창광최재경장중원충금예리다라냐자]고|[^\W화장측표냉정방국라]면)"
    r"(?=\s+(?!있|계[시신십세셔셨실]|싶|말|나서|나면|나니|[되돼됩된됐]|안\s|좋|하겠|하려|합니|해\s|했"
    r"|드리|드려|드렸|부탁|바랍)\S)"
)
# Behind it a word with letters that no end mark follows.
_CLAUSE_THAT_GOES_ON = re.compile(
    rf"(?:[,;:、，；：—]+(?=\s)|{_CONNECTIVE.pattern})(?=\s+\S*[가-힣A-Za-z0-9]\S*(?<![.!?…~])(?:\s|$))"
)
_LETTER = re.compile(r"[가-힣A-Za-z0-9]")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|No|etc|e\.g|i\.e|[A-Z])\.\s+(?=\w)")
_SPACE = re.compile(r"\s+(?=\S)")
_MAX_QUOTATION_CHARS = 200


@dataclass(frozen=True, slots=True)
class SplitLimits:
    """Lengths in characters of the reading.

    Attributes:
        max_chars: no segment is longer, where a break is allowed at all.
        min_chars: a shorter sentence joins the next one.
        first_chars: the first segment ends at the first clause end once it is longer than this;
            None to treat it like the others.
    """

    max_chars: int = 120
    min_chars: int = 6
    first_chars: int | None = 24


def split_spans(source: str, pieces: Sequence[Piece], limits: SplitLimits) -> list[tuple[int, int]]:
    """Spans of `source` to be spoken one after another; together they cover it.

    Args:
        source: the written text.
        pieces: its reading, which says what must stay whole and how long a stretch sounds.
        limits: lengths to keep.
    """
    splitter = _Splitter(source, pieces, limits)
    return splitter.spans()


def first_clause_end(text: str, min_letters: int, max_chars: int) -> int | None:
    """Where the first clause ends that has so many letters, its mark included.

    The word after it must not be the last of its sentence, which would be heard alone. None while
    no such end is known: a text that grows by whole words gives the same answer once that word is
    there. None for good where the first `max_chars` have no end.
    """
    num_letters = passed = 0
    for match in _CLAUSE_THAT_GOES_ON.finditer(text, 0, max_chars):
        num_letters += len(_LETTER.findall(text, passed, match.end()))
        passed = match.end()
        if num_letters >= min_letters:
            return passed
    return None


def halved(pieces: Sequence[Piece]) -> tuple[list[Piece], list[Piece]] | None:
    """Two stretches that sound about equally long, whatever should have stayed whole.

    They part behind a space or at least between two pieces where there is such a place near the
    middle, else inside the longest piece: its reading and its source are cut in proportion.

    Returns:
        The pieces of both, which follow one another; None if they can't be divided.
    """
    lengths = list(accumulate(len(piece.text) for piece in pieces))
    third = lengths[-1] / 3
    near = [at for at in range(1, len(pieces)) if third <= lengths[at - 1] <= 2 * third]
    behind_space = [at for at in near if pieces[at - 1].text[-1:].isspace()]
    if near:
        at = min(behind_space or near, key=lambda at: abs(lengths[at - 1] - lengths[-1] / 2))
        return list(pieces[:at]), list(pieces[at:])
    at = max(range(len(pieces)), key=lambda at: len(pieces[at].text))
    divided = _divided(pieces[at])
    if divided is None:
        return None
    first, second = divided
    return [*pieces[:at], first], [second, *pieces[at + 1 :]]


def _divided(piece: Piece) -> tuple[Piece, Piece] | None:
    """Two pieces of one, cut at the space of its reading nearest to the middle."""
    length, num_chars = len(piece.text), piece.end - piece.start
    if length < 2 or num_chars < 2:
        return None
    spaces = [at + 1 for at in range(length // 4, 3 * length // 4) if piece.text[at].isspace()]
    cut = min(spaces, key=lambda at: abs(at - length / 2), default=length // 2)
    middle = piece.start + min(max(1, round(num_chars * cut / length)), num_chars - 1)
    return (
        replace(piece, end=middle, text=piece.text[:cut]),
        replace(piece, start=middle, text=piece.text[cut:]),
    )


class _Splitter:
    def __init__(self, source: str, pieces: Sequence[Piece], limits: SplitLimits) -> None:
        self._limits = limits
        self._length = len(source)
        self._spoken_until = _cumulative_length(len(source), pieces)
        is_free = [True] * (len(source) + 1)
        for start, end in _whole_spans(source, pieces):
            is_free[start + 1 : end] = [False] * max(0, end - start - 1)
        self._sentences = _breaks(_SENTENCE_END, source, is_free)
        self._clauses = _breaks(_CLAUSE_END, source, is_free)
        self._connectives = _breaks(_CONNECTIVE, source, is_free)
        self._spaces = _breaks(_SPACE, source, is_free)
        self._anywhere = [at for at in range(1, len(source)) if is_free[at]]

    def spans(self) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        start = 0
        for end in self._joined_sentences():
            for stop in self._cut_long(start, end, is_first=not spans):
                spans.append((start, stop))
                start = stop
        return spans

    def _spoken(self, start: int, end: int) -> int:
        return self._spoken_until[end] - self._spoken_until[start]

    def _joined_sentences(self) -> Iterator[int]:
        """Ends of sentences, short ones joined to what follows; the last to what comes before."""
        ends = [*self._sentences, self._length]
        start = 0
        for at, end in enumerate(ends):
            rest = self._spoken(end, self._length)
            is_last = at == len(ends) - 1
            if is_last or (
                self._spoken(start, end) >= self._limits.min_chars
                and rest >= self._limits.min_chars
            ):
                if end > start:
                    yield end
                start = end
            if not is_last and rest < self._limits.min_chars:
                yield self._length
                return

    def _cut_long(self, start: int, end: int, is_first: bool) -> Iterator[int]:
        limits = self._limits
        if is_first and limits.first_chars is not None:
            early = self._early_break(start, end, limits.first_chars)
            if early is not None:
                yield early
                start = early
        while self._spoken(start, end) > limits.max_chars:
            stop = self._best_break(start, end)
            if stop >= end:
                break
            yield stop
            start = stop
        if start < end:
            yield end

    def _early_break(self, start: int, end: int, first_chars: int) -> int | None:
        if self._spoken(start, end) <= first_chars:
            return None
        for breaks in (self._clauses, self._connectives):
            for at in breaks:
                is_inside = start < at < end
                if (
                    is_inside
                    and self._limits.min_chars <= self._spoken(start, at) <= 2 * first_chars
                ):
                    return at
        return None

    def _best_break(self, start: int, end: int) -> int:
        """The last clause end that keeps the limit, else the last space, else any free place."""
        limit = self._limits.max_chars
        for breaks in (self._clauses, self._connectives, self._spaces, self._anywhere):
            stop = min(self._first_beyond(breaks, start), bisect_left(breaks, end))
            last = breaks[stop - 1] if stop else start
            if last > start and self._spoken(start, last) >= limit // 3:
                return last
        beyond = self._first_beyond(self._anywhere, start)
        return min([end, *self._anywhere[beyond : beyond + 1]])

    def _first_beyond(self, breaks: list[int], start: int) -> int:
        """Index of the first break that makes a segment from `start` too long."""
        most = self._spoken_until[start] + self._limits.max_chars
        return bisect_right(breaks, most, key=self._spoken_until.__getitem__)


def _cumulative_length(length: int, pieces: Sequence[Piece]) -> list[int]:
    """For each source position, how many characters of reading come before it."""
    spoken = [0] * (length + 1)
    total = 0
    for piece in pieces:
        for at in range(piece.start + 1, piece.end + 1):
            spoken[at] = total
        total += len(piece.text)
        spoken[piece.end] = total
    return spoken


def _breaks(pattern: re.Pattern[str], source: str, is_free: list[bool]) -> list[int]:
    """Where matches end, moved behind the white space that follows, if a break may be there."""
    places: list[int] = []
    for match in pattern.finditer(source):
        at = match.end()
        while at < len(source) and source[at].isspace():
            at += 1
        if 0 < at < len(source) and is_free[at] and is_free[match.end()]:
            places.append(at)
    return places


def _whole_spans(source: str, pieces: Sequence[Piece]) -> Iterator[tuple[int, int]]:
    """Stretches without a break inside: atomic pieces, and quotations that are not overlong."""
    for piece in pieces:
        if piece.is_atomic and piece.end - piece.start > 1:
            yield piece.start, piece.end
    for match in _ABBREVIATION.finditer(source):
        yield match.start(), match.end() + 1
    opened: tuple[int, str] | None = None
    for at, char in enumerate(source):
        if opened and (char == opened[1] or at - opened[0] > _MAX_QUOTATION_CHARS):
            if char == opened[1]:
                yield opened[0], at + 1
            opened = None
        elif not opened and char in _OPENING:
            opened = (at, _OPENING[char])
