"""Which figures a voice must reach, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from training.evaluation.metrics import METRIC_OF, METRICS, Metric, written


class Verdict(StrEnum):
    """How a gate was passed, or not."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Gate:
    """A limit: an upper one for what is better low, else a lower one.

    `is_needed` is whether a figure that could not be measured fails the voice.
    """

    metric: Metric
    limit: float
    is_needed: bool = True

    def verdict(self, value: float | None) -> Verdict:
        """Compare a measured value with the limit."""
        if value is None:
            return Verdict.NOT_MEASURED
        holds = value >= self.limit if self.metric.is_better_high else value <= self.limit
        return Verdict.PASSED if holds else Verdict.FAILED

    @property
    def condition(self) -> str:
        """The limit as people read it."""
        sign = "≥" if self.metric.is_better_high else "≤"
        return f"{sign} {written(self.metric, self.limit)}"


@dataclass(frozen=True)
class Outcome:
    """One gate after the measurement."""

    gate: Gate
    value: float | None
    verdict: Verdict

    @property
    def fails_voice(self) -> bool:
        if self.verdict is Verdict.NOT_MEASURED:
            return self.gate.is_needed
        return self.verdict is Verdict.FAILED


def target_gates() -> list[Gate]:
    """A gate for each metric that has a target."""
    return [Gate(metric, metric.target) for metric in METRICS if metric.target is not None]


def make_gates(limits: Mapping[str, float], unneeded: Sequence[str] = ()) -> list[Gate]:
    """Gates from limits by metric name, in the order of the quality table.

    Raises:
        ValueError: there is no such metric.
    """
    if unknown := sorted({*limits, *unneeded} - set(METRIC_OF)):
        raise ValueError(f"no metric is called {unknown[0]!r}; there are: {', '.join(METRIC_OF)}")
    return [
        Gate(metric, limits[metric.name], metric.name not in unneeded)
        for metric in METRICS
        if metric.name in limits
    ]


def judge(gates: Sequence[Gate], summary: Mapping[str, float | None]) -> list[Outcome]:
    """Put a voice's figures through the gates."""
    outcomes = []
    for gate in gates:
        value = summary.get(gate.metric.name)
        outcomes.append(Outcome(gate, value, gate.verdict(value)))
    return outcomes


def passes(outcomes: Sequence[Outcome]) -> bool:
    """Whether no gate fails what is on trial."""
    return not any(outcome.fails_voice for outcome in outcomes)


def verdict(name: str, outcomes: Sequence[Outcome]) -> str:
    """One line: which gates the one on trial fails."""
    failed = [outcome.gate.metric.label for outcome in outcomes if outcome.fails_voice]
    if not failed:
        return f"{name} passes all {len(outcomes)} gates"
    return f"{name} fails {len(failed)} of {len(outcomes)} gates: {', '.join(failed)}"
