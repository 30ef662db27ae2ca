"""How well written Korean is read: share of cases with an accepted reading, by category.

    python -m models.text.benchmark [FILE] [--failures] [--command "PROGRAM ARGUMENTS"]

FILE has lines ``written form <TAB> accepted readings separated by |``; a line ``## name`` starts a
category. Spaces and punctuation are removed before comparing. Without FILE the project's own cases
are used. ``--command`` measures another program instead: it gets one written form a line and
answers one line each. As G2P programs answer with pronunciations, the pronunciation of an accepted
reading is accepted from them too. `other_readers.py` beside this file is such a program.
"""

import argparse
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from models.text.korean import normalize, pronounce

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
        elif line.strip() and not _is_comment(line):
            written, tab, readings = line.partition("\t")
            if not tab:
                raise ValueError(f"line {number} has no tab: {line!r}")
            yield Case(category, written, tuple(readings.split("\t")[0].split("|")))


def _is_comment(line: str) -> bool:
    """A comment has a space behind its #, or no tab: #1 and #해시태그 are written forms too."""
    return line.startswith("# ") or (line.startswith("#") and "\t" not in line)


def evaluate(cases: list[Case], answers: list[str], pronounced: bool = False) -> list[Result]:
    """Compares answers with the accepted readings; if `pronounced`, also with how those sound."""
    return [
        Result(case, answer, _spoken(answer) in _accepted(case, pronounced))
        for case, answer in zip(cases, answers, strict=True)
    ]


def _accepted(case: Case, pronounced: bool) -> set[str]:
    spelled = [*case.readings, *(reading.replace(" ", "") for reading in case.readings)]
    return set(map(_spoken, spelled + [pronounce(reading) for reading in spelled if pronounced]))


def table(results: list[Result]) -> str:
    """A Markdown table of the share of correct cases per category."""
    totals = Counter(result.case.category for result in results)
    correct = Counter(result.case.category for result in results if result.is_correct)
    rows = [_row(name, correct[name], count) for name, count in totals.items()]
    rows.append(_row("**all**", correct.total(), totals.total()))
    return "\n".join(
        ["| category | cases | correct | share |", "| --- | ---: | ---: | ---: |", *rows]
    )


def _row(name: str, correct: int, count: int) -> str:
    return f"| {name} | {count} | {correct} | {correct / count:.1%} |"


def _spoken(text: str) -> str:
    return _NOT_SPOKEN.sub("", text)


def _answers_of_command(command: str, written: list[str]) -> list[str]:
    done = subprocess.run(
        shlex.split(command), input="\n".join(written), capture_output=True, text=True, check=True
    )
    answers = done.stdout.splitlines()
    if len(answers) != len(written):
        raise ValueError(f"{command!r} answered {len(answers)} of {len(written)} lines")
    return answers


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; returns 1 if the share is below ``--minimum``."""
    parser = argparse.ArgumentParser(prog="python -m models.text.benchmark")
    parser.add_argument("file", nargs="?", type=Path, help="cases; the project's own by default")
    parser.add_argument("--command", help="another program to measure")
    parser.add_argument("--failures", action="store_true", help="list what was read otherwise")
    parser.add_argument(
        "--minimum", type=float, default=0.0, help="share below which to fail, 0 to 1"
    )
    options = parser.parse_args(arguments)
    own = files("models.text") / "data" / "korean_reading_cases.tsv"
    text = (options.file or own).read_text(encoding="utf-8")
    cases = list(read_cases(text))
    written = [case.written for case in cases]
    normalize(written[0])  # loads what is loaded once
    started = time.perf_counter()
    if options.command:
        answers = _answers_of_command(options.command, written)
    else:
        answers = [normalize(form) for form in written]
    elapsed_ms = (time.perf_counter() - started) * 1000 / len(cases)
    results = evaluate(cases, answers, pronounced=bool(options.command))
    print(table(results))
    print(f"\n{elapsed_ms:.2f} ms a case")
    if options.failures:
        for case, answer, is_correct in results:
            if not is_correct:
                print(f"{case.written} -> {answer} (not {'|'.join(case.readings)})")
    return int(sum(result.is_correct for result in results) < options.minimum * len(results))


if __name__ == "__main__":
    sys.exit(main())
