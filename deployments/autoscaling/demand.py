"""How many replicas the present work of a stage needs. No clock, no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StageSpeed:
    """How fast one replica is; measured, see `benchmarks/capacity.py`.

    Args:
        full_rate_per_s: what a replica with a full batch makes in a second: seconds of audio, or
            lines for the persona.
        fixed_step_share: share of a full batch's step that a batch of next to nothing takes as
            well, in [0, 1]. 0 where a batch brings no speed (one segment keeps all of a CPU busy),
            near 1 where its size costs nothing (a GPU that waits for its memory).
    """

    full_rate_per_s: float
    fixed_step_share: float

    def __post_init__(self) -> None:
        if not self.full_rate_per_s > 0:
            raise ValueError(f"full_rate_per_s is {self.full_rate_per_s}; it must be above 0")
        if not 0 <= self.fixed_step_share <= 1:
            raise ValueError(f"fixed_step_share is {self.fixed_step_share}; it lies in [0, 1]")

    def busy_share(self, slot_use: float) -> float:
        """Share of a replica's full rate that is in use when this share of its slots is.

        A step of `use` times the slots takes `fixed + (1 - fixed) * use` of a full one's time and
        makes `use` times its tokens. The share itself would be a treacherous signal: with more
        replicas steps get shorter, sequences leave sooner and slots look emptier than the load
        allows, so that the number of replicas would swing.
        """
        if slot_use <= 0:
            return 0.0
        return slot_use / (self.fixed_step_share + (1 - self.fixed_step_share) * slot_use)


@dataclass(frozen=True)
class StageLoad:
    """What the replicas of a stage have to do now.

    Args:
        busy_replicas: sum of their `busy_share`s.
        backlog: what waits, in the unit of `StageSpeed.full_rate_per_s`.
    """

    busy_replicas: float
    backlog: float


@dataclass(frozen=True)
class DemandSettings:
    """What a stage aims at.

    Args:
        target_use: share of the full rate that is to be in use; the rest is for bursts.
        drain_s: seconds in which a backlog is to be gone. Shorter, and a spike starts more replicas
            than it needs, because its backlog goes on growing until the first of them are there.
    """

    target_use: float = 0.7
    drain_s: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.target_use <= 1:
            raise ValueError(f"target_use is {self.target_use}; it lies in (0, 1]")
        if not self.drain_s > 0:
            raise ValueError(f"drain_s is {self.drain_s}; it must be above 0")


def mean_busy_share(speed: StageSpeed, slot_uses: Sequence[float]) -> float:
    """`busy_share` over a time in which the slots' use was sampled; 0 without samples."""
    if not slot_uses:
        return 0.0
    return sum(map(speed.busy_share, slot_uses)) / len(slot_uses)


def replicas_needed(load: StageLoad, speed: StageSpeed, settings: DemandSettings) -> float:
    """Replicas for what is in work, and on top of them those that drain the backlog in time."""
    draining = load.backlog / (speed.full_rate_per_s * settings.drain_s)
    return load.busy_replicas / settings.target_use + draining
