"""The words and sentence patterns in `data/`, written for this corpus."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.corpus.conjugation import Stem

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Predicate:
    """A stem, its type (v: done by a person, e: event, a: adjective), phrases that go before it."""

    stem: Stem
    type: str
    frames: tuple[str, ...]


@dataclass(frozen=True)
class Ending:
    """A sentence ending: the register it belongs to, the types it fits, the mark after it."""

    form: str
    register: str
    types: str
    mark: str


@dataclass(frozen=True)
class Lexicon:
    """All of it, in the order of the files, so that a seed always gives the same text."""

    nouns: dict[str, tuple[str, ...]]
    words: dict[str, tuple[str, ...]]
    predicates: dict[str, tuple[Predicate, ...]]
    endings: dict[str, dict[str, tuple[Ending, ...]]]
    connectives: dict[str, tuple[str, ...]]
    templates: tuple[str, ...]
    sentences: tuple[str, ...]


@cache
def lexicon() -> Lexicon:
    """The lexicon, read once."""
    nouns = {name: tuple(words.split("|")) for name, words in _rows("nouns.tsv")}
    words = {kind: tuple(text.split("|")) for kind, text in _rows("words.tsv")}
    predicates = [
        Predicate(Stem(stem, irregular), type_, tuple(frames.split("|")))
        for stem, irregular, type_, frames in _rows("predicates.tsv")
    ]
    endings = [Ending(*row) for row in _rows("endings.tsv")]
    registers = dict.fromkeys(ending.register for ending in endings)
    return Lexicon(
        nouns=nouns | {"loanword": words["loanword"]},
        words=words,
        predicates={t: tuple(p for p in predicates if p.type == t) for t in "vea"},
        endings={
            register: {
                t: tuple(e for e in endings if e.register == register and t in e.types)
                for t in "vea"
            }
            for register in registers
        },
        connectives={
            t: tuple(form for form, types in _rows("connectives.tsv") if t in types) for t in "vea"
        },
        templates=tuple(pattern for _, pattern in _rows("templates.tsv")),
        sentences=tuple(line for line in _lines("sentences.txt")),
    )


def _lines(name: str) -> list[str]:
    text = (_DATA / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _rows(name: str) -> list[list[str]]:
    return [line.split("\t") for line in _lines(name)]
