"""The quality table: what each figure is called, its target, and the arithmetic behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from training.evaluation.measurements import Sentence

Unit = Literal["%", "", "GB", "s/s"]

MIN_LONG_FORM_S = 30.0
# Long texts are about success, not about letters: what fails is far from understood.
MAX_LONG_FORM_CER = 0.35


@dataclass(frozen=True)
class Metric:
    """One row of the quality table.

    `target` is what a voice should reach, `predecessor` what the system before this one reported;
    both in the metric's unit, shares as fractions.
    """

    name: str
    label: str
    unit: Unit
    is_better_high: bool
    target: float | None = None
    predecessor: float | None = None


METRICS = (
    Metric("cer", "CER", "%", False, 0.05, 0.031),
    Metric("wer", "WER", "%", False, 0.10, 0.068),
    Metric("wer_as_spaced", "WER, spaces as heard", "%", False),
    Metric("runaway_rate", "runaway", "%", False),
    Metric("distillmos", "MOS, predicted by DistillMOS", "", True, 4.0, 4.21),
    Metric("similarity_mos", "MOS-S, from speaker similarity", "", True, 4.2, 4.34),
    Metric("dnsmos_overall", "DNSMOS overall", "", True),
    Metric("dnsmos_signal", "DNSMOS speech", "", True),
    Metric("dnsmos_background", "DNSMOS background", "", True),
    Metric("similarity", "speaker similarity (cosine)", "", True),
    Metric("confusion_rate", "multi-speaker confusion", "%", False, 0.03, 0.017),
    Metric("success_rate", "success", "%", True, 0.99, 1.0),
    Metric("breakage_rate", "breakage", "%", False, 0.005, 0.0),
    Metric("silence_rate", "of it silence", "%", False),
    Metric("clipping_rate", "of it clipping", "%", False),
    Metric("cut_off_rate", "of it cut off", "%", False),
    Metric("long_form_rate", "long-form success (30 s and more)", "%", True, 0.95, 0.964),
    Metric("real_time_factor", "real-time factor, wall clock", "s/s", False),
    Metric("cpu_real_time_factor", "CPU seconds per second of speech", "s/s", False),
    Metric("peak_memory_gb", "peak memory (PSS)", "GB", False),
    Metric("peak_vram_gb", "peak GPU memory at batch 1", "GB", False, 8.0, 6.3),
)
METRIC_OF = {metric.name: metric for metric in METRICS}


def summarise(
    sentences: Sequence[Sentence],
    long_texts: Sequence[Sentence] = (),
    peak_memory_gb: float | None = None,
    peak_vram_gb: float | None = None,
) -> dict[str, float | None]:
    """The value of every metric; None where nothing was measured for it."""
    spoken = [sentence for sentence in sentences if sentence.error is None]
    return {
        **_error_rates(spoken),
        **_opinions(spoken),
        **_speakers(spoken),
        **_soundness(sentences, spoken),
        "long_form_rate": _share(map(is_long_form_success, long_texts)),
        **_speed([text for text in (*spoken, *long_texts) if text.error is None]),
        "peak_memory_gb": peak_memory_gb,
        "peak_vram_gb": peak_vram_gb,
    }


def similarity_mos(similarity: float) -> float:
    """A speaker similarity on the scale of opinion scores: cosine 0 is 1, cosine 1 is 5.

    No listener was asked: a linear map, under which the target of 4.2 is a cosine of 0.8, about
    where the embeddings tell speakers apart.
    """
    return 1 + 4 * min(1.0, max(0.0, similarity))


def is_long_form_success(text: Sentence) -> bool:
    """Whether at least 30 s came out, whole and understood."""
    if text.error is not None or text.faults or text.is_runaway or text.errors is None:
        return False
    return (
        text.duration_s >= MIN_LONG_FORM_S
        and text.errors.letter_edits <= MAX_LONG_FORM_CER * text.errors.num_letters
    )


def _error_rates(spoken: Sequence[Sentence]) -> dict[str, float | None]:
    """Of the sentences that ended in time; the share of the others stands beside it."""
    counted = [s.errors for s in spoken if s.errors is not None and not s.is_runaway]
    letters = sum(errors.num_letters for errors in counted)
    words = sum(errors.num_words for errors in counted)
    return {
        "cer": _ratio(sum(errors.letter_edits for errors in counted), letters),
        "wer": _ratio(sum(errors.wrong_words for errors in counted), words),
        "wer_as_spaced": _ratio(sum(errors.word_edits for errors in counted), words),
        "runaway_rate": _share(s.is_runaway for s in spoken),
    }


def _opinions(spoken: Sequence[Sentence]) -> dict[str, float | None]:
    predictions = [sentence.prediction for sentence in spoken]
    return {
        "distillmos": _mean(p.distillmos for p in predictions),
        "dnsmos_overall": _mean(p.dnsmos_overall for p in predictions),
        "dnsmos_signal": _mean(p.dnsmos_signal for p in predictions),
        "dnsmos_background": _mean(p.dnsmos_background for p in predictions),
    }


def _speakers(spoken: Sequence[Sentence]) -> dict[str, float | None]:
    """A sentence in which nobody is heard sounds like nobody: similarity 0, and confused."""
    similarities = [s.likeness.similarity if s.likeness else 0.0 for s in spoken]
    return {
        "similarity": _mean(similarities),
        "similarity_mos": _mean(map(similarity_mos, similarities)),
        "confusion_rate": _share(s.likeness is None or s.likeness.is_confused for s in spoken),
    }


def _soundness(
    sentences: Sequence[Sentence], spoken: Sequence[Sentence]
) -> dict[str, float | None]:
    """Success is of all that was asked for, breakage of what came back."""

    def having(fault: str) -> float | None:
        return _share(fault in sentence.faults for sentence in spoken)

    return {
        "success_rate": _share(sentence.error is None for sentence in sentences),
        "breakage_rate": _share(bool(sentence.faults) for sentence in spoken),
        "silence_rate": having("silence"),
        "clipping_rate": having("clipping"),
        "cut_off_rate": having("cut off"),
    }


def _speed(spoken: Sequence[Sentence]) -> dict[str, float | None]:
    audio_s = sum(sentence.duration_s for sentence in spoken)
    cpu_s = [s.synthesis_cpu_s for s in spoken if s.synthesis_cpu_s is not None]
    return {
        "real_time_factor": _ratio(sum(s.synthesis_s for s in spoken), audio_s),
        "cpu_real_time_factor": _ratio(sum(cpu_s), audio_s) if cpu_s else None,
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _share(events: Iterable[bool]) -> float | None:
    return _mean(map(float, events))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


Format = Callable[[float], str]
_FORMATS: dict[Unit, Format] = {
    "%": "{:.1%}".format,
    "": "{:.2f}".format,
    "GB": "{:.2f} GB".format,
    "s/s": "{:.2f}".format,
}


def written(metric: Metric, value: float | None) -> str:
    """A value as people read it; a dash where there is none."""
    return "–" if value is None else _FORMATS[metric.unit](value)
