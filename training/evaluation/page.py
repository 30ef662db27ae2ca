"""The report as one page that needs nothing else: plots and recordings are inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from training.evaluation.gates import Verdict
from training.evaluation.measurements import Evaluation, Sentence
from training.evaluation.recording import Recording, opus_data_uri
from training.evaluation.report import NOTES, Report, plots, quality_rows, sentence_value

Recordings = Mapping[str, Mapping[str, Recording]]
"""Recordings by voice and text."""

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .3rem .6rem; vertical-align: top }
tr { border-bottom: 1px solid #8884 }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.passed { color: #2e8b57 } .failed { color: #d0392b; font-weight: bold }
.not-measured { color: #b8860b }
audio { width: 14rem; height: 2rem } svg { max-width: 100%; height: auto }
.heard { opacity: .75 } footer { opacity: .7; font-size: 90% }
"""


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
    conditions = "".join(
        f"<li>{escape(name)}: {escape(value)}</li>" for name, value in report.conditions.items()
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in NOTES)
    verdict = "passed" if report.passes else "failed"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(report.title)}</h1>"
        f'<p class="{verdict}">{escape(report.verdict)}.</p>'
        f"{_quality_table(report)}{plots(report)}{voices}"
        f"<footer><ul>{conditions}{notes}</ul></footer></body></html>\n"
    )


def _quality_table(report: Report) -> str:
    header, rows = quality_rows(report)
    num_voices = len(report.evaluations)
    body = "".join(_row(row, num_voices) for row in rows)
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


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
    rows = "".join(
        _sentence(sentence, recordings.get(sentence.text), bit_rate)
        for sentence in (*evaluation.sentences, *evaluation.long_texts)
    )
    return (
        f"<h2>{escape(evaluation.voice)} <small>({escape(evaluation.engine)})</small></h2>"
        f"<ul>{missing}</ul><table><thead><tr><th>text, and what was heard</th><th>CER</th>"
        "<th>DistillMOS</th><th>similarity</th><th>faults</th><th></th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
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
