"""What was measured on one sentence, and over all sentences of a voice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from training.evaluation.error_rates import ErrorCounts
from training.evaluation.faults import Fault
from training.evaluation.predictors import Prediction


@dataclass(frozen=True)
class Likeness:
    """Whom a sentence sounds like: cosines between speaker embeddings."""

    similarity: float
    """To the voice's own reference."""
    nearest: str
    """The voice, of those compared, whose reference is nearest."""
    is_confused: bool
    """Whether that is another voice."""


@dataclass(frozen=True)
class Sentence:
    """One text, spoken once and judged. Without audio only the first fields are filled."""

    text: str
    error: str | None = None
    """Why there is no audio."""
    duration_s: float = 0.0
    synthesis_s: float = 0.0
    synthesis_cpu_s: float | None = None
    """CPU time of all threads; None where a service spoke."""
    expected: str = ""
    heard: str = ""
    """Readings of the text and of what the recogniser wrote."""
    errors: ErrorCounts | None = None
    is_runaway: bool = False
    faults: tuple[Fault, ...] = ()
    likeness: Likeness | None = None
    """None for silence, in which nobody is heard; long texts are not asked."""
    prediction: Prediction = Prediction()


@dataclass(frozen=True)
class Evaluation:
    """All that was measured of one voice."""

    voice: str
    engine: str
    sentences: tuple[Sentence, ...]
    long_texts: tuple[Sentence, ...]
    summary: Mapping[str, float | None]
    """Value of each metric of `metrics.METRICS`; None where it could not be measured."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a metric has no value."""
