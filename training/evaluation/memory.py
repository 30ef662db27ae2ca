"""What this process takes."""

from __future__ import annotations

from pathlib import Path

import torch

_ROLLUP = Path("/proc/self/smaps_rollup")
_GB = 1e9


class PeakMemory:
    """The largest proportional set size seen; shared pages count in part."""

    def __init__(self) -> None:
        self._peak_gb: float | None = None

    def look(self) -> None:
        """Note the size as it is now."""
        now_gb = proportional_set_gb()
        if now_gb is not None:
            self._peak_gb = max(now_gb, self._peak_gb or 0.0)

    @property
    def peak_gb(self) -> float | None:
        """None where the system does not say."""
        return self._peak_gb


def proportional_set_gb() -> float | None:
    """Proportional set size of this process; None outside Linux."""
    if not _ROLLUP.exists():
        return None
    for line in _ROLLUP.read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / _GB
    return None


def peak_vram_gb() -> float:
    """Most GPU memory that tensors of this process took; 0 without a GPU."""
    if not torch.cuda.is_available():
        return 0.0
    return torch.cuda.max_memory_allocated() / _GB
