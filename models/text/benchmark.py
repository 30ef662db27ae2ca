"""How well written Korean is read: share of cases with an accepted reading, by category.

    python -m models.text.benchmark [FILE] [--reader baewoo|g2pk2|ko-speech-tools] [--failures]

FILE has lines ``written form <TAB> accepted readings separated by |``; a line ``## name`` starts a
category. Spaces and punctuation are removed before comparing. Without FILE the project's own cases
are used. The other readers must be installed; they answer with pronunciations, so an answer also
counts when it is the pronunciation of an accepted reading.
"""

import argparse
import contextlib
import io
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from models.text.korean import normalize, pronounce

Reader = Callable[[str], str]
_NOT_SPOKEN = re.compile(r"[\W_]")


class Case(NamedTuple):
    """A written form, its accepted readings and its category."""

    category: str
    written: str
    readings: tuple[str, ...]


class Result(NamedTuple):
    """What a reader made of a case."""

    case: Case
    answer: str
    is_correct: bool


def read_cases(text: str) -> Iterator[Case]:
    """Parses the case format.

    Raises:
        ValueError: on a line without a tab, with its number.
    """
    category = "all"
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("## "):
            category = line[3:].strip()
        elif line.strip() and (not line.startswith("#") or "\t" in line):
            written, tab, readings = line.partition("\t")
            if not tab:
                raise ValueError(f"line {number} has no tab: {line!r}")
            yield Case(category, written, tuple(readings.split("\t")[0].split("|")))


def evaluate(cases: list[Case], reader: Reader, answers_pronunciation: bool = False) -> list[Result]:
    """Reads every case. A reader that fails on a case has it wrong."""
    results: list[Result] = []
    for case in cases:
        try:
            answer = reader(case.written)
        except Exception as error:  # a foreign reader's crash is its answer
            answer = f"<{type(error).__name__}>"
        accepted = {_spoken(reading) for reading in case.readings}
        if answers_pronunciation:
            accepted |= {_spoken(pronounce(r)) for r in case.readings} | {
                _spoken(pronounce(r.replace(" ", ""))) for r in case.readings
            }
        results.append(Result(case, answer, _spoken(answer) in accepted))
    return results


def table(results: list[Result]) -> str:
    """A Markdown table of the share of correct cases per category."""
    totals = Counter(result.case.category for result in results)
    correct = Counter(result.case.category for result in results if result.is_correct)
    rows = [_row(name, correct[name], count) for name, count in totals.items()]
    rows.append(_row("**all**", correct.total(), totals.total()))
    return "\n".join(["| category | cases | correct | share |", "| --- | ---: | ---: | ---: |", *rows])


def _row(name: str, correct: int, count: int) -> str:
    return f"| {name} | {count} | {correct} | {correct / count:.1%} |"


def _spoken(text: str) -> str:
    return _NOT_SPOKEN.sub("", text)


def _g2pk2() -> Reader:
    # Importing g2pk2 downloads an NLTK corpus unless one stands in its place; it is not consulted
    # before Hangul, and without it Latin words stay as they are.
    import nltk

    class NoCorpus:
        @staticmethod
        def dict() -> dict[str, list[list[str]]]:
            return {}

    nltk.corpus.cmudict = NoCorpus
    nltk.data.find = lambda *_args, **_kwargs: None
    with contextlib.redirect_stdout(io.StringIO()):
        from g2pk2 import G2p

        reader: Reader = G2p()
    return reader


def _ko_speech_tools() -> Reader:
    from ko_speech_tools import G2p

    reader: Reader = G2p()
    return reader


READERS: dict[str, Callable[[], Reader]] = {
    "baewoo": lambda: normalize,
    "g2pk2": _g2pk2,
    "ko-speech-tools": _ko_speech_tools,
}


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; returns 1 if the share is below ``--minimum``."""
    parser = argparse.ArgumentParser(prog="python -m models.text.benchmark", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("file", nargs="?", type=Path, help="cases; the project's own by default")
    parser.add_argument("--reader", choices=sorted(READERS), default="baewoo")
    parser.add_argument("--failures", action="store_true", help="list what was read otherwise")
    parser.add_argument("--minimum", type=float, default=0.0, help="share below which to fail, 0 to 1")
    options = parser.parse_args(arguments)
    own = files("models.text") / "data" / "korean_reading_cases.tsv"
    text = (options.file or own).read_text(encoding="utf-8")
    cases = list(read_cases(text))
    reader = READERS[options.reader]()
    reader(cases[0].written)  # loads what is loaded once
    started = time.perf_counter()
    results = evaluate(cases, reader, answers_pronunciation=options.reader != "baewoo")
    elapsed_ms = (time.perf_counter() - started) * 1000 / len(cases)
    print(table(results))
    print(f"\n{options.reader}: {elapsed_ms:.2f} ms a case")
    if options.failures:
        for result in results:
            if not result.is_correct:
                print(f"{result.case.written} -> {result.answer} (not {'|'.join(result.case.readings)})")
    return int(sum(result.is_correct for result in results) < options.minimum * len(results))


if __name__ == "__main__":
    sys.exit(main())
