"""Says what is wrong with files of training rows, and how long their lines are.

    python -m training.persona.check FILE.jsonl ...

The exit status is 1 if any row is bad.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from training.persona.rows import read_rows
from training.persona.selection import without_repeats
from training.persona.statistics import length_statistics


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.jsonl")
    options = parser.parse_args(arguments)
    num_faults = sum([_report(path) for path in options.files])
    return 1 if num_faults else 0


def _report(path: Path) -> int:
    rows, faults = read_rows(path)
    for fault in faults:
        print(f"{path}, {fault}")
    num_repeated = len(rows) - len(without_repeats(rows))
    print(f"{path}: {len(rows)} rows, {len(faults)} bad, {num_repeated} repeated")
    if rows:
        for name, value in asdict(length_statistics([row.output for row in rows])).items():
            print(f"  {name}: {value:.2f}" if isinstance(value, float) else f"  {name}: {value}")
    return len(faults)


if __name__ == "__main__":
    sys.exit(main())
