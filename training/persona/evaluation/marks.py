"""The table of marks: what each figure is called, its target, and how it is counted."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from models.persona.emotion import emotion_of
from models.persona.persona import Persona
from training.evaluation.metrics import Metric
from training.persona.evaluation.ngrams import LogisticRegression, features
from training.persona.evaluation.performance import DialogueLine, Performance, SceneLine
from training.persona.evaluation.scene_match import SceneMatcher
from training.persona.line_format import fault_of
from training.persona.rows import Row
from training.persona.selection import split_rows
from training.persona.statistics import GOOD_LINE_CHARS, level_share, longest_copy

MAX_COPY_CHARS = 12
# Turns that are compared to tell drift.
_DRIFT_TURNS = 5
_NUM_CATCHWORDS = 40
_REPEATED_CHARS = 8
_WORD = re.compile(r"[가-힣]{2,}")

MARKS = (
    Metric("answered", "lines that came at all", "%", True, 1.0),
    Metric("format", "format kept by the model itself", "%", True, 0.90),
    Metric("seconds", "seconds a line, one at a time", "", False, 30.0, 18.99),
    Metric("mean_chars", "characters a line", "", True),
    Metric("good_length", "of 50 to 90 characters", "%", True),
    Metric("level", "sentences in the speech level", "%", True, 0.90),
    Metric("level_lines", "lines wholly in the speech level", "%", True),
    Metric("distinct", "told from the other character", "%", True, 0.90),
    Metric("vocabulary", "word profile, cosine to own rows", "", True),
    Metric("catchwords", "lines with a word typical of it", "%", True),
    Metric("longest_copy", "longest run copied from a row, characters", "", False, MAX_COPY_CHARS),
    Metric("mean_copy", "mean of the longest run", "", False),
    Metric("copied", "lines with a run longer than 12", "%", False),
    Metric("seeds_differ", "scenes that two seeds answer differently", "%", True, 0.90),
    Metric("emotion", "direction read as the emotion labelled", "%", True, 0.60),
    Metric("scene_match", "true scene preferred to another's", "%", True, 0.70),
    Metric("repeats", "turns that repeat 8 characters of earlier ones", "%", False),
    Metric("drift_level", "speech level, turns 16–20 less 1–5, points", "", True, -0.05),
    Metric("drift_format", "format, turns 16–20 less 1–5, points", "", True),
    Metric("drift_distinct", "told apart, turns 16–20 less 1–5, points", "", True),
)
MARK_OF = {mark.name: mark for mark in MARKS}

Figures = dict[str, float | None]
_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Listener:
    """Marks lines of one character against its rows and those of the others.

    Args:
        persona: whose form and speech level are expected.
        rows: its own.
        others: the other characters'.
        matcher: learnt from nine tenths of all rows.
        matched_rows: how often `matcher` is right about the tenth it has not seen, which people
            would call fitting; so much can be expected of it.
        apart: learnt from all rows.
    """

    persona: Persona
    rows: Sequence[Row]
    others: Sequence[Row]
    matcher: SceneMatcher
    matched_rows: float
    apart: LogisticRegression

    @classmethod
    def of(cls, persona: Persona, rows: Sequence[Row], others: Sequence[Row]) -> Listener:
        """Learn what tells the characters apart, and what a line shares with its scene."""
        lines = [row.output for row in (*others, *rows)]
        is_own = np.array([False] * len(others) + [True] * len(rows))
        apart = LogisticRegression.fit(features(lines), is_own)
        split = split_rows((*others, *rows), held_out_share=0.1, seed=1)
        matcher = SceneMatcher.fit(split.train)
        unseen = [(row.input, row.output) for row in split.held_out]
        return cls(persona, rows, others, matcher, matcher.prefers_own(unseen), apart)

    def mark(self, performance: Performance) -> Figures:
        """Every figure of the table; None for what could not be measured."""
        lines, turns = performance.lines, performance.turns
        texts = [line.written.text for line in lines if line.written.text]
        figures: Figures = {mark.name: None for mark in MARKS}
        everything: list[SceneLine | DialogueLine] = [*lines, *turns]
        figures["answered"] = _share(line.written.error is None for line in everything)
        figures["seconds"] = _mean(performance.timed_s)
        figures["emotion"] = _share(
            next(iter(emotion_of(line.scene.scene.direction))) == line.scene.emotion
            for line in lines
        )
        figures["format"] = self.format_share(lines)
        figures["seeds_differ"] = seeds_differ(lines)
        if texts:
            figures |= self._of_texts(texts)
        if len({line.scene.input for line in lines if line.written.text}) > 1:
            figures["scene_match"] = self.matcher.prefers_own(
                [(line.scene.input, line.written.text) for line in lines if line.written.text]
            )
        return figures | self._drift(turns)

    def format_share(self, lines: Sequence[SceneLine | DialogueLine]) -> float | None:
        """Share of lines that needed no repair; judged by the text where nothing is said."""
        return _share(self._is_kept(line) for line in lines)

    def level_share(self, texts: Sequence[str]) -> float | None:
        """Share of sentences that end in the character's speech level."""
        level = self.persona.speech_level
        return None if level is None or not texts else level_share(texts, level)

    def distinct_share(self, texts: Sequence[str]) -> float | None:
        """Share of lines that the classifier takes for this character's."""
        if not texts:
            return None
        return float((self.apart.probability(features(texts)) > 0.5).mean())

    def catchwords(self) -> list[str]:
        """Words that its rows use and the others' do not, the most telling first."""
        own, foreign = (_words(row.output for row in rows) for rows in (self.rows, self.others))
        telling = {word: count - foreign[word] for word, count in own.items()}
        return sorted(telling, key=lambda word: (-telling[word], word))[:_NUM_CATCHWORDS]

    def _is_kept(self, line: SceneLine | DialogueLine) -> bool:
        written = line.written
        if written.error is not None:
            return False
        if written.format is not None:
            return written.format == "kept"
        return fault_of(self.persona, written.text, ended=True) is None

    def _of_texts(self, texts: Sequence[str]) -> Figures:
        sources = [row.output for row in self.rows]
        copies = [len(longest_copy(text, sources)) for text in texts]
        catchwords = self.catchwords()
        return {
            "mean_chars": _mean(map(len, texts)),
            "good_length": _share(len(text) in GOOD_LINE_CHARS for text in texts),
            "level": self.level_share(texts),
            "level_lines": _share(self.level_share([text]) == 1.0 for text in texts),
            "distinct": self.distinct_share(texts),
            "vocabulary": _cosine(_words(texts), _words(sources)),
            "catchwords": _share(any(word in text for word in catchwords) for text in texts),
            "longest_copy": float(max(copies)),
            "mean_copy": _mean(copies),
            "copied": _share(copy > MAX_COPY_CHARS for copy in copies),
        }

    def _drift(self, turns: Sequence[DialogueLine]) -> Figures:
        if not turns:
            return {}
        last = max(line.turn for line in turns)
        early = [line for line in turns if line.turn <= _DRIFT_TURNS]
        late = [line for line in turns if line.turn > last - _DRIFT_TURNS]
        return {
            "repeats": repeats(turns),
            "drift_level": _change(self.level_share, _texts(early), _texts(late)),
            "drift_format": _change(self.format_share, early, late),
            "drift_distinct": _change(self.distinct_share, _texts(early), _texts(late)),
        }

    def by_turn(self, turns: Sequence[DialogueLine]) -> dict[str, dict[int, float | None]]:
        """Speech level, format and distinctness of each turn, over all dialogues."""
        numbers = sorted({line.turn for line in turns})
        at = {number: [line for line in turns if line.turn == number] for number in numbers}
        return {
            "level": {n: self.level_share(_texts(at[n])) for n in numbers},
            "format": {n: self.format_share(at[n]) for n in numbers},
            "distinct": {n: self.distinct_share(_texts(at[n])) for n in numbers},
        }


def repeats(turns: Sequence[DialogueLine]) -> float | None:
    """Share of a dialogue's lines, from the second on, that say again what was said before."""
    said: dict[str, list[str]] = {}
    again = []
    for line in turns:
        earlier = said.setdefault(line.dialogue_id, [])
        if earlier:
            again.append(len(longest_copy(line.written.text, earlier)) >= _REPEATED_CHARS)
        earlier.append(line.written.text)
    return _share(again)


def seeds_differ(lines: Sequence[SceneLine]) -> float | None:
    """Share of scenes to which no two seeds answered the same; None where there is one seed."""
    answers: dict[str, list[str]] = {}
    for line in lines:
        answers.setdefault(line.scene.input, []).append(line.written.text)
    several = [texts for texts in answers.values() if len(texts) > 1]
    return _share(len(set(texts)) == len(texts) for texts in several)


def _texts(lines: Sequence[DialogueLine]) -> list[str]:
    return [line.written.text for line in lines if line.written.text]


def _words(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in _WORD.findall(text))


def _cosine(left: Mapping[str, int], right: Mapping[str, int]) -> float:
    dot = sum(count * right.get(word, 0) for word, count in left.items())
    norms = [sum(count**2 for count in side.values()) ** 0.5 for side in (left, right)]
    return dot / (norms[0] * norms[1]) if all(norms) else 0.0


def _change(
    share: Callable[[Sequence[_Part]], float | None],
    early: Sequence[_Part],
    late: Sequence[_Part],
) -> float | None:
    before, after = share(early), share(late)
    return None if before is None or after is None else after - before


def _share(events: Iterable[bool]) -> float | None:
    return _mean(map(float, events))


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.fmean(known) if known else None
