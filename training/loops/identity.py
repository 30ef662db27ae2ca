"""What a run is of: a folder that has begun with one thing does not go on with another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.checkpoints.replacing import replacing
from training.loops.strict import ConfigError

_RECORD = "run.json"


def require_same_run(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write down what a run is of, and refuse to go on with a run of something else.

    Args:
        folder: of the run.
        facts: JSON values that must stay as they are, by the name an error calls them.

    Raises:
        ConfigError: the run that has begun in the folder is of something else.
    """
    path = folder / _RECORD
    if _has_begun(folder) and path.exists():  # its record stays: an older one may say less
        begun = json.loads(path.read_text(encoding="utf-8"))
        for name, value in facts.items():
            if begun.get(name, value) != value:
                raise ConfigError(
                    f"{folder} has begun with {name} {begun[name]}, not {value}; "
                    "choose a new folder"
                )
        return
    with replacing(path) as partial:
        partial.write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _has_begun(folder: Path) -> bool:
    """Whether anything was learned that would be gone on with."""
    return any((folder / "checkpoints").glob("*")) or (folder / "last").exists()
