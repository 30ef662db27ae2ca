"""The report as one page that needs nothing else: plots and recordings are inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from training.evaluation.gates import Verdict
from training.evaluation.markup import html_page, html_table
from training.evaluation.measurements import Evaluation, Sentence
from training.evaluation.recording import Recording, opus_data_uri
from training.evaluation.report import NOTES, Report, plots, quality_rows, sentence_value

Recordings = Mapping[str, Mapping[str, Recording]]
"""Recordings by voice and text."""


def to_html(report: Report, recordings: Recordings, bit_rate: int) -> str:
    """One page, with a player for each recording given.

    Args:
        report: what to tell.
        recordings: what to play, by voice and text.
        bit_rate: of the players, bits a second.
    """
    voices = "".join(
        _voice(evaluation, recordings.get(evaluation.voice, {}), bit_rate)
        for evaluation in report.evaluations
    )
    conditions = [f"{name}: {value}" for name, value in report.conditions.items()]
    return html_page(
        report.title,
        "en",
        report.verdict,
        report.passes,
        f"{_quality_table(report)}{plots(report)}{voices}",
        (*conditions, *NOTES),
    )


def _quality_table(report: Report) -> str:
    header, rows = quality_rows(report)
    return html_table(header, (_row(row, len(report.evaluations)) for row in rows))


def _row(row: Sequence[str], num_voices: int) -> str:
    cells = []
    for idx, cell in enumerate(row):
        style = "number" if 0 < idx <= num_voices else ""
        if idx == num_voices + 2 and cell:
            style = Verdict(cell).value.replace(" ", "-")
        cells.append(f'<td class="{style}">{escape(cell)}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _voice(evaluation: Evaluation, recordings: Mapping[str, Recording], bit_rate: int) -> str:
    missing = "".join(
        f"<li>not available: {escape(name)}: {escape(reason)}</li>"
        for name, reason in evaluation.missing.items()
    )
    rows = (
        _sentence(sentence, recordings.get(sentence.text), bit_rate)
        for sentence in (*evaluation.sentences, *evaluation.long_texts)
    )
    header = ["text, and what was heard", "CER", "DistillMOS", "similarity", "faults", ""]
    return (
        f"<h2>{escape(evaluation.voice)} <small>({escape(evaluation.engine)})</small></h2>"
        f"<ul>{missing}</ul>{html_table(header, rows)}"
    )


def _sentence(sentence: Sentence, recording: Recording | None, bit_rate: int) -> str:
    faults = ", ".join((*sentence.faults, *(["runaway"] if sentence.is_runaway else [])))
    player = ""
    if recording is not None:
        address = opus_data_uri(recording, bit_rate)
        player = f'<audio controls preload="none" src="{address}"></audio>'
    heard = sentence.error if sentence.error is not None else sentence.heard
    figures = "".join(
        f'<td class="number">{_number(sentence_value(sentence, name), form)}</td>'
        for name, form in (("cer", ".0%"), ("distillmos", ".2f"), ("similarity", ".2f"))
    )
    return (
        f'<tr><td>{escape(sentence.text)}<br><span class="heard">{escape(heard)}</span></td>'
        f"{figures}<td>{escape(faults)}</td><td>{player}</td></tr>"
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
