"""Figures of lines: how long they are, which speech level they keep, what they share."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.persona.speech_level import SENTENCE_MARKS, SpeechLevel, level_of

# Length of a line that is marked as good, in characters.
GOOD_LINE_CHARS = range(50, 91)

_SENTENCE = re.compile(rf"[^{SENTENCE_MARKS}]+[{SENTENCE_MARKS}]*")


@dataclass(frozen=True)
class LengthStatistics:
    """Lengths in characters; `good_share` is the share of lines within `GOOD_LINE_CHARS`."""

    count: int
    min_chars: int
    median_chars: float
    mean_chars: float
    p90_chars: int
    max_chars: int
    good_share: float


def length_statistics(lines: Sequence[str]) -> LengthStatistics:
    """Figures of at least one line.

    Raises:
        ValueError: there is no line.
    """
    if not lines:
        raise ValueError("there are no lines to measure")
    lengths = sorted(map(len, lines))
    return LengthStatistics(
        count=len(lengths),
        min_chars=lengths[0],
        median_chars=statistics.median(lengths),
        mean_chars=statistics.fmean(lengths),
        p90_chars=lengths[-(-9 * len(lengths) // 10) - 1],  # nearest rank
        max_chars=lengths[-1],
        good_share=sum(length in GOOD_LINE_CHARS for length in lengths) / len(lengths),
    )


def sentences_of(line: str) -> list[str]:
    """The sentences of a line, each with its marks."""
    return [sentence.strip() for sentence in _SENTENCE.findall(line) if sentence.strip()]


def level_share(lines: Sequence[str], level: SpeechLevel) -> float:
    """Share of all sentences that end in `level`.

    Raises:
        ValueError: there is no sentence.
    """
    levels = [level_of(sentence) for line in lines for sentence in sentences_of(line)]
    if not levels:
        raise ValueError("there are no sentences to measure")
    return levels.count(level) / len(levels)


def shared_substrings(lines: Sequence[str], num_chars: int) -> dict[str, int]:
    """Substrings of `num_chars` characters that several lines share, with how many share them."""
    counts = Counter(part for line in lines for part in set(_substrings(line, num_chars)))
    return {part: count for part, count in counts.items() if count > 1}


def longest_copy(line: str, sources: Sequence[str]) -> str:
    """The longest substring that `line` shares with any source; the first of equally long ones."""
    longest = ""
    for start in range(len(line)):
        # Only a longer find counts, so the end never moves back: each start costs few searches.
        while (end := start + len(longest) + 1) <= len(line):
            part = line[start:end]
            if not any(part in source for source in sources):
                break
            longest = part
    return longest


def _substrings(text: str, num_chars: int) -> Iterator[str]:
    return (text[start : start + num_chars] for start in range(len(text) - num_chars + 1))
