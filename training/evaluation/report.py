"""The report of an evaluation, as JSON for programs and as Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.evaluation import gates
from training.evaluation.gates import Outcome
from training.evaluation.markup import markdown_table
from training.evaluation.measurements import Evaluation, Sentence
from training.evaluation.metrics import METRICS, Metric, written
from training.evaluation.plots import Panel, Series, figure

NOTES = (
    "CER and WER: what Whisper base (beam 5, temperature 0) wrote, against the text, both as read "
    "aloud and without spaces; a word is wrong if a letter of it is. Runaways are counted apart.",
    "MOS figures are predictions of networks, not listeners' opinions. MOS-S is 1 + 4 × the cosine "
    "of speaker embeddings: a scale of our own, not a study.",
    "The predecessor's figures are those it reported, of other sentences and voices.",
)
_NUM_WORST = 8


@dataclass(frozen=True)
class Report:
    """Everything a reader is told. The first voice is the one on trial."""

    title: str
    conditions: Mapping[str, str]
    """Machine, versions, sentences: what the figures depend on."""
    evaluations: Sequence[Evaluation]
    outcomes: Sequence[Outcome]

    @property
    def passes(self) -> bool:
        return gates.passes(self.outcomes)

    @property
    def verdict(self) -> str:
        """One line."""
        return gates.verdict(self.evaluations[0].voice, self.outcomes)


def to_json(report: Report) -> str:
    """The whole report, every sentence included."""
    document: dict[str, Any] = {
        "title": report.title,
        "passes": report.passes,
        "conditions": dict(report.conditions),
        "gates": [
            {
                "metric": outcome.gate.metric.name,
                "condition": outcome.gate.condition,
                "value": outcome.value,
                "verdict": outcome.verdict.value,
                "is_needed": outcome.gate.is_needed,
            }
            for outcome in report.outcomes
        ],
        "voices": [asdict(evaluation) for evaluation in report.evaluations],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def quality_rows(report: Report) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the quality table: a column for each voice."""
    outcome_of = {outcome.gate.metric.name: outcome for outcome in report.outcomes}
    header = ["", *(evaluation.voice for evaluation in report.evaluations)]
    header += ["gate", "", "target", "predecessor"]
    rows = []
    for metric in METRICS:
        outcome = outcome_of.get(metric.name)
        rows.append(
            [
                metric.label,
                *(_cell(evaluation, metric) for evaluation in report.evaluations),
                outcome.gate.condition if outcome else "",
                outcome.verdict.value if outcome else "",
                _target(metric),
                "" if metric.predecessor is None else written(metric, metric.predecessor),
            ]
        )
    return header, rows


def to_markdown(report: Report, picture: str | None = None) -> str:
    """The quality table, and the sentences that were understood worst.

    Args:
        report: what to tell.
        picture: address of the plots, relative to the document.
    """
    header, rows = quality_rows(report)
    parts = [f"# {report.title}", f"**{report.verdict}.**", markdown_table(header, rows)]
    if picture:
        parts.append(f"![Each sentence, and the mean]({picture})")
    parts += [_missing(evaluation) for evaluation in report.evaluations if evaluation.missing]
    parts += [f"- {name}: {value}" for name, value in report.conditions.items()]
    parts += [f"- {note}" for note in NOTES]
    for evaluation in report.evaluations:
        parts += [f"## Understood worst: {evaluation.voice}", _worst(evaluation)]
    return _joined(parts)


def plots(report: Report) -> str:
    """Every sentence as a dot: what was understood, how it sounds, whose voice it is."""
    limits = {outcome.gate.metric.name: outcome.gate.limit for outcome in report.outcomes}

    def series(value: str) -> list[Series]:
        return [
            Series(e.voice, [v for s in e.sentences if (v := sentence_value(s, value)) is not None])
            for e in report.evaluations
        ]

    return figure(
        [
            Panel("CER of each sentence", series("cer"), 0, 1, limits.get("cer"), True),
            Panel("DistillMOS", series("distillmos"), 1, 5, limits.get("distillmos")),
            Panel("DNSMOS overall", series("dnsmos"), 1, 5, limits.get("dnsmos_overall")),
            Panel("Speaker similarity", series("similarity"), 0, 1, limits.get("similarity")),
        ]
    )


def sentence_value(sentence: Sentence, name: str) -> float | None:
    """One figure of one sentence, None where it was not measured."""
    if name == "cer":
        errors = sentence.errors
        return errors.letter_edits / errors.num_letters if errors and errors.num_letters else None
    if name == "similarity":
        return sentence.likeness.similarity if sentence.likeness else None
    prediction = sentence.prediction
    return prediction.distillmos if name == "distillmos" else prediction.dnsmos_overall


def _cell(evaluation: Evaluation, metric: Metric) -> str:
    value = evaluation.summary.get(metric.name)
    return "not available" if value is None else written(metric, value)


def _target(metric: Metric) -> str:
    if metric.target is None:
        return ""
    return ("≥ " if metric.is_better_high else "≤ ") + written(metric, metric.target)


def _missing(evaluation: Evaluation) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in evaluation.missing.items())
    return f"- not available for {evaluation.voice}: {reasons}"


def _worst(evaluation: Evaluation) -> str:
    ranked = sorted(evaluation.sentences, key=_badness, reverse=True)[:_NUM_WORST]
    rows = [
        [s.expected or s.text, s.error or s.heard, _percent(sentence_value(s, "cer"))]
        for s in ranked
    ]
    return markdown_table(["text, as read aloud", "heard", "CER"], rows)


def _badness(sentence: Sentence) -> float:
    if sentence.error is not None:
        return float("inf")
    return sentence_value(sentence, "cer") or 0.0


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _joined(parts: Sequence[str]) -> str:
    """Paragraphs apart, items of a list together."""
    text = parts[0]
    for before, part in zip(parts, parts[1:], strict=False):
        is_list = before.startswith("- ") and part.startswith("- ")
        text += ("\n" if is_list else "\n\n") + part
    return text + "\n"
