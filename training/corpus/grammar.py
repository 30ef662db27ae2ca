"""Composes sentences: who, when, where, what, how, and how it ends.

Nothing here is fixed but word order. A clause takes its own words, may hang on another clause by a
connective, and ends in one register (polite, formal, plain, narrative), so two sentences seldom
share more than a phrase. They are grammatical; sense is not asked of them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TypeVar

from models.text.korean.numbers import adnominal, digits, sino
from training.corpus.hangul import with_particle
from training.corpus.lexicon import Lexicon, Predicate

T = TypeVar("T")

_SLOT = re.compile(r"\{([a-z_]+)(?::(\d+)-(\d+))?\}(으로|라는|라면|라도|[가-힣])?(?![가-힣])")
_ANY_SLOT = re.compile(r"\{([a-z_]+)(?::(\d+)-(\d+))?\}")
_ONE_SUBJECT_ONLY = ("나", "저", "너", "걔", "쟤", "그")
_SUBJECT_PARTICLES = ("가", "가", "는", "는", "도", "만", "까지", "께서")
# What 를 and 가 give way to when a word is stressed, added, or all there is.
_TOPIC_PARTICLES = ("는", "는", "도", "도", "만", "까지", "부터", "라도", "조차", "나", "마다")
_UNFIT_NAMES = frozenset(("자지", "보지", "병신", "애무", "성병", "시신", "자해", "고자"))
_TYPES, _TYPE_WEIGHTS = "vea", (60, 18, 22)


class Grammar:
    """Draws sentences from a lexicon with one random generator."""

    def __init__(self, lexicon: Lexicon, rng: random.Random) -> None:
        self._lexicon = lexicon
        self._rng = rng

    def sentence(self) -> str:
        """One composed sentence with its mark."""
        type_ = self._rng.choices(_TYPES, _TYPE_WEIGHTS)[0]
        register = self._choice(tuple(self._lexicon.endings))
        ending = self._choice(self._lexicon.endings[register][type_])
        clauses = [self._clause(type_, ending.form, has_subject=self._chance(0.7))]
        if self._chance(0.45):
            first_type = self._rng.choices(_TYPES, _TYPE_WEIGHTS)[0]
            connective = self._choice(self._lexicon.connectives[first_type])
            comma = "," if self._chance(0.3) else ""
            clauses.insert(0, self._clause(first_type, connective, has_subject=True) + comma)
        if register != "narrative" and self._chance(0.2):
            clauses.insert(0, self._choice(self._lexicon.words["interjection"]) + ",")
        elif self._chance(0.4):
            clauses.insert(0, self._time())
        return " ".join(clauses) + ending.mark

    def from_template(self) -> str:
        """A sentence of a fixed pattern with its slots filled."""
        return self.fill(self._choice(self._lexicon.templates))

    def fill(self, pattern: str) -> str:
        """Replace the slots of a pattern; particles after them agree with what was put in."""
        with_agreement = _SLOT.sub(
            lambda m: with_particle(self._slot(m[1], m[2], m[3]), m[4] or ""), pattern
        )
        return _ANY_SLOT.sub(lambda m: self._slot(m[1], m[2], m[3]), with_agreement)

    def _clause(self, type_: str, ending: str, has_subject: bool) -> str:
        predicate = self._choice(self._lexicon.predicates[type_])
        words = [self._frame(predicate), predicate.stem.attach(ending)]
        if self._chance(0.35):
            words.insert(1, self._choice(self._lexicon.words["adverb"]))
        if has_subject and type_ == "v":
            words.insert(0, self._subject())
        return " ".join(words)

    def _frame(self, predicate: Predicate) -> str:
        pattern = self._choice(predicate.frames)
        if pattern.endswith(("}를", "}가")) and self._chance(0.35):
            pattern = pattern[:-1] + self._choice(_TOPIC_PARTICLES)
        frame = self.fill(pattern)
        if self._chance(0.25):
            return f"{self._choice(self._lexicon.words['attribute'])} {frame}"
        return frame

    def _subject(self) -> str:
        kind = self._rng.choices(("kin", "role", "pronoun", "name", "sector"), (4, 4, 3, 3, 1))[0]
        person = self._slot(kind)
        if person not in _ONE_SUBJECT_ONLY and kind != "name" and self._chance(0.2):
            person = f"{self._choice(self._lexicon.words['attribute'])} {person}"
        return with_particle(person, self._choice(_SUBJECT_PARTICLES))

    def _time(self) -> str:
        if self._chance(0.25):
            return self._clock() + "에"
        return self._choice(self._lexicon.words["time"])

    def _slot(self, name: str, low: str | None = None, high: str | None = None) -> str:
        if name == "sino":
            return sino(self._rng.randint(int(low or 1), int(high or 99)))
        if name == "native":
            return adnominal(self._rng.randint(int(low or 1), int(high or 99)))
        if name == "clock":
            return self._clock()
        if name == "phone":
            parts = (self._rng.randint(1000, 9999) for _ in range(2))
            return " ".join(("공일공", *(digits(str(part)) for part in parts)))
        if name == "name":
            return self._name()
        return self._choice(self._lexicon.nouns[name])

    def _clock(self) -> str:
        half_day = self._choice(("오전", "오후", "아침", "저녁", "밤", "새벽"))
        minutes = self._choice(("", " 반", f" {sino(self._rng.randint(1, 59))} 분"))
        return f"{half_day} {adnominal(self._rng.randint(1, 12))} 시{minutes}"

    def _name(self) -> str:
        words = self._lexicon.words
        given = self._choice(words["given"]) + self._choice(words["given"])
        if given in _UNFIT_NAMES:
            return self._name()
        title = self._choice(words["title"])
        space = "" if title == "님" else " "
        return f"{self._choice(words['surname'])}{given}{space}{title}"

    def _choice(self, options: Sequence[T]) -> T:
        return self._rng.choice(options)

    def _chance(self, probability: float) -> bool:
        return self._rng.random() < probability
