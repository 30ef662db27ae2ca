"""What the figures of a run depend on, besides the voice."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def conditions(**more: str) -> dict[str, str]:
    """Date, machine, versions and commit, and what the caller adds."""
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} logical cores, {_processor()}",
        "versions": f"Python {platform.python_version()}, torch {version('torch')}, "
        f"faster-whisper {version('faster-whisper')}",
        "commit": _commit(),
        **more,
    }


def _processor() -> str:
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Of the working directory; a submitted job runs outside the repository."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "describe", "--always", "--dirty"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
