"""A text of any length to segments that Zonos can speak: their ids, and where they stand.

>>> [s.text for s in analyze("안녕하세요. 반갑습니다!", "ko")]                # doctest: +SKIP
['안녕하세요. ', '반갑습니다!']
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from models.text import frontend
from models.text.errors import UnspeakableText
from models.text.frontend import Segment, check_text
from models.text.korean.dictionary import PronunciationDictionary
from models.text.korean.folding import fold
from models.text.reading import Piece
from models.text.splitting import SplitLimits, halved, split_spans
from models.zonos.codes import ORDINARY_SPEAKING_RATE
from models.zonos.phonemes import phonemize
from models.zonos.symbols import ids_of, zonos_language
from models.zonos.text import spoken_form

LIMITS = SplitLimits(max_chars=100, min_chars=6, first_chars=None)
"""Zonos speaks no more than 30 s at once. A first segment need not be short: it streams."""

MAX_SYMBOLS = 300
"""Of a segment that can be divided: about 20 s, before which the 8 s fit that it may go on from.
Few characters can be many symbols: numbers are spoken in words, and kanji in several syllables."""

# Slower than this nothing is spoken, and it would be divided into its syllables.
_SLOWEST_RATE = 2.0

# Words are spoken whole; where scripts have no spaces, a break is allowed after every character.
_TOKEN = re.compile(r"\s+|[^\s\u3040-\u30ff\u3400-\u9fff]{1,60}|.")


def analyze(
    text: str,
    language: str,
    dictionary: Mapping[str, str] | None = None,
    speaking_rate: float | None = None,
) -> list[Segment]:
    """Read a text and split it into segments; their spans cover the text.

    Args:
        text: as people write it.
        language: see `zonos_language`.
        dictionary: readings that win over every rule.
        speaking_rate: phonemes a second; below the usual 15 segments are shorter by as much, so
            that none takes longer. None for the usual.

    Raises:
        models.text.errors.TextError: the text can't be spoken, or not in that language.
        models.zonos.errors.MissingLibrary: espeak-ng or SudachiPy is not installed.
    """
    check_text(text)
    code = zonos_language(language, text)
    entries = PronunciationDictionary(dictionary or {})
    pace = _pace(speaking_rate)
    limits = replace(LIMITS, max_chars=round(pace * LIMITS.max_chars))
    if code == "ko":
        return _read_korean(text, entries, limits)
    return list(_read(text, code, entries, limits, round(pace * MAX_SYMBOLS)))


def _pace(speaking_rate: float | None) -> float:
    """What part of the usual is said in the same time, 1 at most."""
    if speaking_rate is None:
        return 1.0
    return min(1.0, max(_SLOWEST_RATE, speaking_rate) / ORDINARY_SPEAKING_RATE)


def _read_korean(
    text: str, dictionary: PronunciationDictionary, limits: SplitLimits
) -> list[Segment]:
    segments = frontend.analyze(text, "ko", dictionary=dictionary, limits=limits)
    return [_with_zonos_ids(segment, "ko") for segment in segments]


def _read(
    text: str,
    code: str,
    dictionary: PronunciationDictionary,
    limits: SplitLimits,
    max_symbols: int,
) -> Iterator[Segment]:
    """Segments of any other language, whose reading is the text with entries replaced."""
    pieces = list(_pieces(text, dictionary))
    spans = split_spans(text, pieces, limits)
    first_start: int | None = None
    spoken: list[tuple[int, int, list[Piece]]] = []
    for start, end in spans:
        inside = [piece for piece in pieces if start <= piece.start < end]
        begin = start if first_start is None else first_start
        if _is_spoken(inside):
            spoken.append((begin, end, inside))
            first_start = None
        elif spoken:  # signs alone belong to what comes before
            spoken[-1] = (spoken[-1][0], end, spoken[-1][2])
        else:
            first_start = begin
    if not spoken:
        raise UnspeakableText(f"nothing in {text[:40]!r} is read aloud in language {code!r}")
    for start, end, inside in spoken:
        yield from _segments(text, start, end, code, inside, max_symbols)


def _segments(
    text: str, start: int, end: int, code: str, inside: list[Piece], max_symbols: int
) -> Iterator[Segment]:
    """The span as one segment, or as several where one would take too long to speak."""
    reading = "".join(piece.text for piece in inside)
    segment = _with_zonos_ids(Segment(text[start:end], reading, [], start, end, code), code)
    halves = halved(inside) if len(segment.phoneme_ids) > max_symbols else None
    if halves is None or not all(map(_is_spoken, halves)):
        yield segment
        return
    first, second = halves
    yield from _segments(text, start, second[0].start, code, first, max_symbols)
    yield from _segments(text, second[0].start, end, code, second, max_symbols)


def _is_spoken(pieces: Sequence[Piece]) -> bool:
    return any(char.isalnum() for piece in pieces for char in piece.text)


def _pieces(text: str, dictionary: PronunciationDictionary) -> Iterator[Piece]:
    folded = fold(text)
    position = 0
    for start, end, spoken in dictionary.find(folded.text):
        entry_start, entry_end = folded.source_span(start, end)
        yield from _tokens(text, position, entry_start)
        yield Piece(entry_start, entry_end, spoken, is_atomic=True)
        position = entry_end
    yield from _tokens(text, position, len(text))


def _tokens(text: str, start: int, end: int) -> Iterator[Piece]:
    for match in _TOKEN.finditer(text, start, end):
        yield Piece(match.start(), match.end(), match[0], is_atomic=not match[0].isspace())


def _with_zonos_ids(segment: Segment, code: str) -> Segment:
    words = segment.reading if code == "ko" else spoken_form(segment.reading, code)
    ids = ids_of(phonemize(words.strip(), code))
    return Segment(segment.text, segment.reading, ids, segment.start, segment.end, code)
