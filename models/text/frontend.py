"""The front end: text to segments of phoneme ids, ready for synthesis.

>>> [s.reading for s in analyze("사과 3개 주세요. 25°C예요.", "ko")]
['사과 세 개 주세요.', '섭씨 이십오도예요.']
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from models.text import english
from models.text.errors import (
    EmptyText,
    InvalidCharacter,
    TextTooLong,
    UnspeakableText,
    UnsupportedLanguage,
)
from models.text.korean.dictionary import PronunciationDictionary
from models.text.korean.folding import fold
from models.text.korean.normalizer import normalize, read
from models.text.korean.phonemes import phones as korean_phones
from models.text.korean.standard_sounds import pronounce_standard
from models.text.languages import (
    SUPPORTED_LANGUAGES,
    LanguagePiece,
    language_pieces,
    require_supported,
)
from models.text.reading import Piece
from models.text.reference import english_phones
from models.text.splitting import SplitLimits, halved, split_spans
from models.text.symbols import ids_of

MAX_TEXT_CHARS = 5_000

MAX_SEGMENT_PHONEMES = 600
"""What the acoustic model is given at most in one go. Ordinary segments have up to 400; so many
become 1,200 to 1,500 semantic tokens, which it generates at most, and fit into its cache beside
the prompt of the longest reference clip."""

_MIN_PHONES = 6  # shorter input makes the acoustic model unstable, so the reference pads it as well
_ALLOWED_CONTROLS = "\n\t\r"
_KOREAN_SOUND = re.compile("[가-힣]")
_ENGLISH_SOUND = re.compile("[A-Za-z0-9]")
_TOKEN = re.compile(r"\s+|\S{1,60}")  # a longer run without space is noise, and may be broken

DictionaryEntries = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Segment:
    """What is synthesised in one go.

    Attributes:
        text: the written text, ``source[start:end]``.
        reading: how it is read aloud.
        phoneme_ids: ids of the symbols of the engine that it is for: the 732 of GPT-SoVITS v2, or
            the 189 of Zonos with its marks for begin and end.
        start, end: where it stands in the whole text.
        language: ``ko``, ``en``, or ``auto`` where both occur; for Zonos a code of espeak-ng.
    """

    text: str
    reading: str
    phoneme_ids: list[int]
    start: int
    end: int
    language: str


def analyze(
    text: str,
    language: str = "ko",
    *,
    dictionary: PronunciationDictionary | DictionaryEntries = (),
    limits: SplitLimits = SplitLimits(),  # noqa: B008  (frozen)
    max_chars: int = MAX_TEXT_CHARS,
) -> list[Segment]:
    """Reads `text` and splits it into segments; their spans cover the text.

    Args:
        text: as people write it.
        language: ``ko`` reads everything in Korean, Latin words too; ``en`` reads everything in
            English; ``auto`` reads Latin words with English sounds inside Korean.
        dictionary: readings that win over every rule, or their entries.
        limits: lengths of segments.
        max_chars: the longest text accepted.

    Raises:
        TextError: one of its kinds: empty, unspeakable, too long as a whole or in one place that
            can't be divided, an invalid character, an unsupported language, a contradictory
            dictionary.
    """
    require_supported(language)
    check_text(text, max_chars)
    if not isinstance(dictionary, PronunciationDictionary):
        dictionary = PronunciationDictionary(dictionary)
    pieces = read_pieces(text, language, dictionary)
    if not any(map(_is_spoken, pieces)):
        raise UnspeakableText(f"nothing in {text[:40]!r} is read aloud in language {language!r}")
    within = _Within(pieces)
    spans = _join_silent(split_spans(text, pieces, limits), within)
    return [
        segment
        for start, end in spans
        for segment in _segments(text, start, end, within(start, end))
    ]


def warm_up() -> None:
    """Loads what is otherwise loaded by the first sentences: dictionaries, word counts, weights."""
    for language in ("ko", "en"):
        analyze("안녕 zorp 1", language)  # zorp is in no dictionary, so every fallback loads


def check_text(text: str, max_chars: int = MAX_TEXT_CHARS) -> None:
    """Refuses text that can't be spoken at all.

    Raises:
        TextTooLong, EmptyText, InvalidCharacter: with the limit or the offending character.
    """
    if len(text) > max_chars:
        raise TextTooLong(f"the text has {len(text)} characters; allowed: {max_chars}")
    if not text.strip():
        raise EmptyText("the text is empty")
    for at, char in enumerate(text):
        if unicodedata.category(char) in ("Cc", "Cs") and char not in _ALLOWED_CONTROLS:
            kind = "lone surrogate" if unicodedata.category(char) == "Cs" else "control character"
            raise InvalidCharacter(f"the text has a {kind}, U+{ord(char):04X}, at position {at}")


def read_pieces(text: str, language: str, dictionary: PronunciationDictionary) -> list[Piece]:
    """Pieces that cover `text`: Korean read aloud, English as written (entries replaced)."""
    if language == "ko":
        return list(read(text, dictionary).pieces)
    if language == "en":
        return list(_keep_korean_spaces(_english_pieces(text, dictionary)))
    pieces: list[Piece] = []
    offset = 0
    for part in _mixed_parts(text, dictionary):
        inner = read_pieces(part.text, part.language, dictionary)
        if (
            part.language == "ko"
            and part.text[-1].isspace()
            and offset + len(part.text) < len(text)
        ):
            inner[-1] = replace(inner[-1], text=inner[-1].text + " ")
        pieces.extend(replace(p, start=p.start + offset, end=p.end + offset) for p in inner)
        offset += len(part.text)
    return pieces


def _mixed_parts(text: str, dictionary: PronunciationDictionary) -> list[LanguagePiece]:
    """Korean and English stretches; a dictionary entry is never divided between them."""
    folded = fold(text)
    entries = [folded.source_span(start, end) for start, end, _ in dictionary.find(folded.text)]
    entries.reverse()
    parts: list[LanguagePiece] = []
    start = end = 0
    for part in _parts_by_script(text):
        end += len(part.text)
        while entries and entries[-1][1] <= end:
            entries.pop()
        stop = entries[-1][1] if entries and entries[-1][0] < end else end
        if start < stop:
            parts.append(LanguagePiece(part.language, text[start:stop]))
            start = stop
    return parts


def _parts_by_script(text: str) -> list[LanguagePiece]:
    """Korean and English stretches; a number that touches Hangul is Korean (OK, 3시에 봐)."""
    parts: list[LanguagePiece] = []
    for piece in language_pieces(text):
        if piece.language == "ja":
            raise UnsupportedLanguage(
                f"Japanese text ({piece.text[:20]!r}) is not supported yet; "
                f"supported: {', '.join(SUPPORTED_LANGUAGES)}"
            )
        language, part = ("en" if piece.language == "en" else "ko"), piece.text
        if parts and parts[-1].language == "en" and language == "ko":
            kept = parts[-1].text.rstrip("0123456789,.")
            parts[-1], part = LanguagePiece("en", kept), parts[-1].text[len(kept) :] + part
        if parts and parts[-1].language == language:
            parts[-1] = LanguagePiece(language, parts[-1].text + part)
        else:
            parts.append(LanguagePiece(language, part))
    return parts


def _english_pieces(text: str, dictionary: PronunciationDictionary) -> Iterator[Piece]:
    folded = fold(text)
    at = 0
    for start, end, spoken in dictionary.find(folded.text):
        entry_start, entry_end = folded.source_span(start, end)
        yield from _english_tokens(text, at, entry_start)
        if _KOREAN_SOUND.search(spoken):  # English would drop it
            yield Piece(entry_start, entry_end, normalize(spoken), is_atomic=True)
        else:
            yield Piece(entry_start, entry_end, spoken, is_atomic=True, language="en")
        at = entry_end
    yield from _english_tokens(text, at, len(text))


def _keep_korean_spaces(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """A space behind an entry read in Korean is Korean too; English has no symbol for it."""
    is_after_korean = False
    for piece in pieces:
        if is_after_korean and piece.text.isspace():
            piece = replace(piece, text=" ", language="ko")
        is_after_korean = piece.language == "ko"
        yield piece


def _english_tokens(text: str, start: int, end: int) -> Iterator[Piece]:
    for match in _TOKEN.finditer(text, start, end):
        yield Piece(match.start(), match.end(), match[0], not match[0].isspace(), "en")


class _Within:
    """The pieces inside a span, without looking at all the others."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]

    def __call__(self, start: int, end: int) -> list[Piece]:
        first, stop = bisect_left(self._starts, start), bisect_left(self._starts, end)
        return [piece for piece in self._pieces[first:stop] if piece.end <= end]


def _join_silent(spans: list[tuple[int, int]], within: _Within) -> list[tuple[int, int]]:
    """Joins a span in which nothing is spoken to the one before it, or to the first after it."""
    joined: list[tuple[int, int]] = []
    start: int | None = None
    for span_start, end in spans:
        begin = span_start if start is None else start
        is_spoken = any(map(_is_spoken, within(span_start, end)))
        if not is_spoken and joined:
            joined[-1] = (joined[-1][0], end)
        elif is_spoken:
            joined.append((begin, end))
            start = None
        else:
            start = begin
    return joined


def _segments(text: str, start: int, end: int, inside: list[Piece]) -> Iterator[Segment]:
    """The span as one segment, or as several where one would be too long to be spoken."""
    segment = _segment(text, start, end, inside)
    num_phonemes = len(segment.phoneme_ids)
    if num_phonemes <= MAX_SEGMENT_PHONEMES:
        yield segment
        return
    halves = halved(inside)
    if halves is None or not all(any(map(_is_spoken, half)) for half in halves):
        raise TextTooLong(
            f"{text[start : start + 40]!r} sounds too long and can't be divided: it has "
            f"{num_phonemes} phonemes; allowed: {MAX_SEGMENT_PHONEMES}"
        )
    first, second = halves
    yield from _segments(text, start, second[0].start, first)
    yield from _segments(text, second[0].start, end, second)


def _segment(text: str, start: int, end: int, inside: list[Piece]) -> Segment:
    readings: list[str] = []
    phones: list[str] = []
    languages: set[str] = set()
    for language, group in groupby(inside, key=lambda piece: piece.language):
        reading = "".join(piece.text for piece in group)
        if language == "en":
            reading = english.normalize(reading)
        if reading.strip():
            readings.append(reading)
            languages.add(language)
            phones += (
                korean_phones(reading, pronounce_standard)
                if language == "ko"
                else english_phones(reading)
            )
    if len(phones) < _MIN_PHONES:
        phones = [".", *phones]
    spoken_language = languages.pop() if len(languages) == 1 else "auto"
    return Segment(
        text[start:end], "".join(readings).strip(), ids_of(phones), start, end, spoken_language
    )


def _is_spoken(piece: Piece) -> bool:
    return bool((_ENGLISH_SOUND if piece.language == "en" else _KOREAN_SOUND).search(piece.text))
