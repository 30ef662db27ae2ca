"""Numbers that change while training goes on: learning rates, weights of losses."""

from __future__ import annotations

import bisect
import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.optim.scaled_adam import s1_learning_rate
from training.loops.strict import StrictModel


class Steps(StrictModel):
    """The value of the last point reached; constant before the first and after the last."""

    kind: Literal["steps"] = "steps"
    points: list[tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=0)]]] = Field(
        min_length=1, description="(update, value), ascending by update"
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        _check_ascending(self.points)
        return self

    def value(self, update: int, epoch: int) -> float:
        """The value for a 0-based update."""
        index = bisect.bisect_right([point[0] for point in self.points], update) - 1
        return self.points[max(index, 0)][1]


class Linear(StrictModel):
    """Straight lines between points; constant before the first and after the last."""

    kind: Literal["linear"] = "linear"
    points: list[tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=0)]]] = Field(
        min_length=1, description="(update, value), ascending by update"
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        _check_ascending(self.points)
        return self

    def value(self, update: int, epoch: int) -> float:
        """The value for a 0-based update."""
        updates = [point[0] for point in self.points]
        after = bisect.bisect_right(updates, update)
        if after == 0 or after == len(updates):
            return self.points[max(after - 1, 0)][1]
        (start, low), (stop, high) = self.points[after - 1], self.points[after]
        return low + (high - low) * (update - start) / (stop - start)


class EpochDecay(StrictModel):
    """``start * factor ** (epoch + 1)``: the reference decays once before its first epoch."""

    kind: Literal["epoch_decay"] = "epoch_decay"
    start: float = Field(gt=0)
    factor: float = Field(gt=0, le=1)

    def value(self, update: int, epoch: int) -> float:
        """The value in a 0-based epoch."""
        return self.start * math.pow(self.factor, epoch + 1)


class S1Reference(StrictModel):
    """The rate S1's published weights were trained with: 0.01 once, then 0.002."""

    kind: Literal["s1_reference"] = "s1_reference"

    def value(self, update: int, epoch: int) -> float:
        """The value for a 0-based update."""
        return s1_learning_rate(update)


Schedule = Annotated[Steps | Linear | EpochDecay | S1Reference, Field(discriminator="kind")]


def _check_ascending(points: list[tuple[int, float]]) -> None:
    updates = [point[0] for point in points]
    if any(later <= earlier for earlier, later in zip(updates, updates[1:], strict=False)):
        raise ValueError(f"points must ascend by update; they are at {updates}")
