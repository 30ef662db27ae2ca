"""When to follow the demand: up at once, down only when it stayed lower for a while. No clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

Peaks = tuple[tuple[float, int], ...]
"""(time in s, replicas wanted), oldest first, each higher than all after it."""

_ROUNDING = 1e-6
"""A demand that is above a whole number only by the sums of floats is that number."""


@dataclass(frozen=True)
class Bounds:
    """How many replicas there may be."""

    min_replicas: int
    max_replicas: int

    def clamp(self, num_replicas: int) -> int:
        """The nearest number that is allowed."""
        return max(self.min_replicas, min(self.max_replicas, num_replicas))


@dataclass(frozen=True)
class Decision:
    """How many replicas there should be, and what the next decision has to know."""

    num_replicas: int
    peaks: Peaks


def decide(
    needed: float,
    *,
    current: int,
    bounds: Bounds,
    hold_s: float,
    now_s: float,
    peaks: Peaks | None,
) -> Decision:
    """The highest demand of the last `hold_s` seconds, within bounds.

    Demand that comes and goes within that time therefore starts and stops nothing, and no replica
    is given up that was needed within it.

    Args:
        needed: replicas that the present work needs, see `demand.replicas_needed`.
        current: the number aimed at until now; kept for `hold_s` when no peaks are known, so that
            a controller that was just started does not shrink what it finds.
        hold_s: how long a lower demand must last.
        now_s: a clock that does not go back.
        peaks: those of the previous decision, None for the first.
    """
    wanted = bounds.clamp(math.ceil(needed - _ROUNDING))
    before = ((now_s, current),) if peaks is None else peaks
    kept = tuple(
        (at_s, num_replicas)
        for at_s, num_replicas in before
        if num_replicas > wanted and now_s - at_s < hold_s
    )
    after = (*kept, (now_s, wanted))
    return Decision(bounds.clamp(after[0][1]), after)
