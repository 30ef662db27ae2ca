"""Where golden vectors come from.

``BAEWOO_GOLDEN`` may name a root that holds ``gpt_sovits_v2/``, ``zonos/`` and ``korean/`` in the
same file formats as ``tests/parity/data``; a file that root lacks is taken from there.
What a filler is called with (its salt or seed) is read from the manifest that lies beside the
vectors, so a file from the default set is never paired with the salt of another set.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DEFAULT_ROOT = Path(__file__).parent / "data"


def golden_root() -> Path:
    """The root in use: ``BAEWOO_GOLDEN`` where it is set, else the project's own copy."""
    return Path(os.environ.get("BAEWOO_GOLDEN") or DEFAULT_ROOT)


@dataclass(frozen=True)
class GoldenFolder:
    """One family of vectors, e.g. ``GoldenFolder("gpt_sovits_v2")``."""

    name: str

    def path(self, file_name: str) -> Path:
        """The file in the root in use, or in the default root where that one lacks it.

        Raises:
            FileNotFoundError: neither root has the file.
        """
        candidates = [root / self.name / file_name for root in (golden_root(), DEFAULT_ROOT)]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        raise FileNotFoundError(f"no golden file {self.name}/{file_name} in {candidates}")

    def json(self, file_name: str) -> Any:
        return json.loads(self.path(file_name).read_text(encoding="utf-8"))

    def arrays(self, file_name: str) -> dict[str, np.ndarray]:
        """All arrays of an ``.npz`` file, read into memory."""
        with np.load(self.path(file_name), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    def manifest(self, file_name: str) -> dict[str, Any]:
        """The manifest that goes with ``file_name``: the one beside it, else the default one."""
        beside = self.path(file_name).with_name("manifest.json")
        path = beside if beside.is_file() else self.path("manifest.json")
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return manifest
