"""What every benchmark writes beside its numbers: machine, versions, commit, load.

A figure without these can neither be compared nor repeated, so reports are made here only.
"""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

_INTERESTING_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Contender:
    """One of the things compared. ``run`` does the work once and returns the seconds it took."""

    name: str
    run: Callable[[], float]


def run_alternately(
    contenders: Sequence[Contender], num_rounds: int, num_warmups: int = 1
) -> dict[str, list[float]]:
    """Seconds of every round of every contender.

    They take turns within a round, so that a change of the machine's load meets all of them.
    """
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for round_idx in range(num_warmups + num_rounds):
        for contender in contenders:
            elapsed_s = contender.run()
            if round_idx >= num_warmups:
                seconds[contender.name].append(elapsed_s)
    return seconds


def ratio_of_medians(numerator_s: Sequence[float], denominator_s: Sequence[float]) -> float:
    """How many times longer the first took."""
    return statistics.median(numerator_s) / statistics.median(denominator_s)


def environment() -> dict[str, Any]:
    """Hardware, versions, thread count, commit and load average of this process."""
    return {
        "cpu": _cpu_model(),
        "cpu_flags": [flag for flag in _INTERESTING_CPU_FLAGS if flag in _cpu_info()],
        "logical_cpus": os.cpu_count(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "commit": _commit(),
    }


def write_report(folder: Path, name: str, title: str, results: Mapping[str, Any]) -> None:
    """Write ``<name>.json`` with everything and ``<name>.md`` with the table.

    Args:
        results: must hold ``environment`` (a mapping) and ``rows`` (a list of flat mappings with
            the same keys); other entries go into the JSON alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    machine = "\n".join(f"- {key}: {value}" for key, value in results["environment"].items())
    markdown = f"# {title}\n\n{markdown_table(results['rows'])}\n\n{machine}\n"
    (folder / f"{name}.md").write_text(markdown, encoding="utf-8")


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table; the first row's keys are the columns."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(row[column]) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _cpu_info() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _cpu_model() -> str:
    for line in _cpu_info().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
