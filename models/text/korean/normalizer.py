"""Written Korean to its reading: 사과 3개, 25°C, AI -> 사과 세 개, 섭씨 이십오도, 에이아이.

One scan from left to right. Hangul is its own reading; at every other character the first rule that
matches reads a stretch of text, and the scan goes on behind it. Each rule looks at a bounded
neighbourhood, so time grows linearly with the text.
"""

import re
from collections.abc import Iterator

from models.text.korean.chat_rules import CHAT_RULES
from models.text.korean.code_rules import ADDRESS_RULES, TELEPHONE_RULES
from models.text.korean.date_rules import CLOCK_RULES, DATE_RULES, FULL_DATE_RULES
from models.text.korean.dictionary import EMPTY_DICTIONARY, PronunciationDictionary
from models.text.korean.folding import fold
from models.text.korean.latin_rules import ADDRESS_TOKEN_RULES, LATIN_RULES
from models.text.korean.money_rules import MONEY_RULES
from models.text.korean.number_rules import (
    ENDLESS_RULES,
    FRACTION_RULES,
    PLAIN_RATIO_RULES,
    PLAIN_RULES,
    QUANTITY_RULES,
    RATIO_RULES,
)
from models.text.korean.rule import TOPIC_PARTICLE, Rule
from models.text.korean.symbol_rules import SYMBOL_RULES
from models.text.reading import Piece, Reading

# The order is the meaning: what is more specific reads first.
_WRITTEN_RULES: list[Rule] = [
    *ENDLESS_RULES,
    *ADDRESS_TOKEN_RULES,
    *FULL_DATE_RULES,
    *TELEPHONE_RULES,
    *MONEY_RULES,
    *RATIO_RULES,
    *CLOCK_RULES,
    *DATE_RULES,
    *PLAIN_RATIO_RULES,
    *QUANTITY_RULES,
    *FRACTION_RULES,
    *ADDRESS_RULES,
    *LATIN_RULES,
    *PLAIN_RULES,
    *CHAT_RULES,
]
_PAUSES = (",", ".", "!", "?", "…")
_PLAIN_HANGUL = re.compile("[가-힣]+")


def normalize(text: str) -> str:
    """The reading of `text`: Hangul, spaces and the punctuation ``, . ! ? …`` only.

    What Korean does not read aloud (emoji, brackets, kana, Cyrillic) is left out.
    """
    return read(text).text


def read(text: str, dictionary: PronunciationDictionary = EMPTY_DICTIONARY) -> Reading:
    """The reading of `text`, with the source of every character.

    Args:
        text: Korean text as people write it.
        dictionary: entries that apply before every rule.
    """
    folded = fold(text)
    joined = _Joiner()
    for start, end, spoken, is_atomic in _scan(folded.text, dictionary):
        joined.add(*folded.source_span(start, end), spoken, is_atomic)
    return Reading(text, tuple(joined.finish()))


def _scan(text: str, dictionary: PronunciationDictionary) -> Iterator[tuple[int, int, str, bool]]:
    at = 0
    for entry_start, entry_end, reading in dictionary.find(text):
        yield from _scan_rules(text, at, entry_start)
        yield entry_start, entry_end, normalize(reading), True
        at = entry_end
    yield from _scan_rules(text, at, len(text))


def _scan_rules(text: str, at: int, end: int) -> Iterator[tuple[int, int, str, bool]]:
    while at < end:
        hangul = _PLAIN_HANGUL.match(text, at, end)
        if hangul:
            for index in range(at, hangul.end()):
                yield index, index + 1, text[index], False
            at = hangul.end()
            continue
        stop, spoken, is_atomic = _apply_first_rule(text, at, end)
        yield at, stop, spoken, is_atomic
        at = stop


def _apply_first_rule(text: str, at: int, end: int) -> tuple[int, str, bool]:
    for rules, is_atomic in ((_WRITTEN_RULES, True), (SYMBOL_RULES, False)):
        for pattern, read_match in rules:
            match = pattern.match(text, at, end)
            spoken = read_match(match) if match and match.end() > at else None
            if match and spoken is not None:
                return match.end(), spoken, is_atomic
    raise AssertionError("the last rule matches any character")


class _Joiner:
    """Collects pieces; keeps spaces and pauses single, and no space at the ends."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._last = ""
        self._pending = ""  # the reading of one source character (½, ㎡) may come in parts

    def add(self, start: int, end: int, spoken: str, is_atomic: bool) -> None:
        if spoken.startswith(TOPIC_PARTICLE):
            particle = "은" if _has_coda(self._last) else "는"
            spoken = particle + spoken.removeprefix(TOPIC_PARTICLE)
        if self._last in ("", " "):
            spoken = spoken.lstrip(" ")
        if spoken == self._last or {spoken, self._last} == {".", "…"}:
            spoken = "" if spoken in _PAUSES else spoken
        if spoken:
            self._last = spoken[-1]
        if start == end:
            self._pending += spoken
            return
        self._pieces.append(Piece(start, end, self._pending + spoken, is_atomic))
        self._pending = ""

    def finish(self) -> list[Piece]:
        for idx in range(len(self._pieces) - 1, -1, -1):
            piece = self._pieces[idx]
            self._pieces[idx] = Piece(
                piece.start, piece.end, piece.text.rstrip(" "), piece.is_atomic
            )
            if self._pieces[idx].text:
                break
        return self._pieces


def _has_coda(syllable: str) -> bool:
    return "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 > 0
