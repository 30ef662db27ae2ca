"""The report: JSON for programs, Markdown and one HTML page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from training.evaluation import gates
from training.evaluation.gates import Outcome, Verdict
from training.evaluation.markup import html_page, html_table, markdown_table
from training.evaluation.metrics import written
from training.evaluation.plots import Panel, Series, figure
from training.persona.evaluation.marks import MARKS, Figures
from training.persona.evaluation.performance import DialogueLine, Performance, SceneLine
from training.persona.evaluation.turns_plot import turns_plot

NOTES = (
    "As served, the engine lets a sentence end only in the persona's speech level, and draws "
    "Hangul alone. Unguided: the same adapter, free to end a sentence as it likes, and to recite. "
    "Base: the model without an adapter, unguided, told the same character sheet.",
    "The predecessor's seconds are those it reported, of a model forty times as large on a GPU.",
    "The scene classifier sees shared letters, not sense; beside it stands what it says of "
    "held-out lines that people would call fitting.",
)
_NUM_LINES = 20


@dataclass(frozen=True)
class Marked:
    """One author's performance and its figures; `by_turn` by figure and turn."""

    performance: Performance
    figures: Figures
    by_turn: Mapping[str, Mapping[int, float | None]]

    @property
    def name(self) -> str:
        return self.performance.name


@dataclass(frozen=True)
class Report:
    """Everything a reader is told. The first author is the one on trial."""

    title: str
    conditions: Mapping[str, str]
    marked: Sequence[Marked]
    outcomes: Sequence[Outcome]

    @property
    def passes(self) -> bool:
        return gates.passes(self.outcomes)

    @property
    def verdict(self) -> str:
        """One line."""
        return gates.verdict(self.marked[0].name, self.outcomes)


def to_json(report: Report) -> str:
    """The whole report, every line included."""
    document: dict[str, Any] = {
        "title": report.title,
        "passes": report.passes,
        "conditions": dict(report.conditions),
        "gates": [
            {
                "mark": outcome.gate.metric.name,
                "condition": outcome.gate.condition,
                "value": outcome.value,
                "verdict": outcome.verdict.value,
            }
            for outcome in report.outcomes
        ],
        "authors": [
            {
                "name": marked.name,
                "figures": marked.figures,
                "by_turn": marked.by_turn,
                "lines": [asdict(line) for line in marked.performance.lines],
                "turns": [asdict(turn) for turn in marked.performance.turns],
            }
            for marked in report.marked
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a column for each author."""
    outcome_of = {outcome.gate.metric.name: outcome for outcome in report.outcomes}
    header = ["", *(marked.name for marked in report.marked), "gate", "", "predecessor"]
    rows = []
    for mark in MARKS:
        outcome = outcome_of.get(mark.name)
        rows.append(
            [
                mark.label,
                *(written(mark, marked.figures[mark.name]) for marked in report.marked),
                outcome.gate.condition if outcome else "",
                outcome.verdict.value if outcome else "",
                "" if mark.predecessor is None else written(mark, mark.predecessor),
            ]
        )
    return header, rows


def to_markdown(report: Report, name: str) -> str:
    """Table, drift, and lines; `name` is that of the files beside it."""
    header, rows = table(report)
    conditions = [f"- {name}: {value}" for name, value in report.conditions.items()]
    parts = [
        f"# {report.title}",
        f"**{report.verdict}.**",
        markdown_table(header, rows),
        f"![Each line, and the mean]({name}.svg)",
        f"![Turn by turn]({name}-turns.svg)" if _talkers(report) else "",
        "\n".join([*conditions, *(f"- {note}" for note in NOTES)]),
        "## What was said to scenes nobody was trained on",
        markdown_table(["scene", *(m.name for m in report.marked)], _lines(report)),
        "## The first dialogue",
        markdown_table(["turn", "user", *(m.name for m in _talkers(report))], _talk(report)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html(report: Report) -> str:
    """One page that needs nothing else."""
    lines = ["scene", *(m.name for m in report.marked)]
    talk = ["turn", "user", *(m.name for m in _talkers(report))]
    facts = [f"{name}: {value}" for name, value in report.conditions.items()]
    return html_page(
        report.title,
        "ko",
        report.verdict,
        report.passes,
        f"{_html_table(*table(report))}{plots(report)}{drift_plot(report)}"
        f"<h2>Lines</h2>{_html_table(lines, _lines(report))}"
        f"<h2>The first dialogue</h2>{_html_table(talk, _talk(report))}",
        (*facts, *NOTES),
    )


def plots(report: Report) -> str:
    """Lengths and times of the first and the last author's lines."""
    compared = [report.marked[0], *report.marked[1:][-1:]]
    lengths = [
        Series(m.name, [float(len(text)) for text in _texts(m.performance.lines)]) for m in compared
    ]
    seconds = [Series(m.name, m.performance.timed_s) for m in compared]
    longest_s = max([1.0, *(value for series in seconds for value in series.values)])
    return figure(
        [
            Panel("Characters a line", lengths, 0, 120),
            Panel("Seconds a line, one at a time", seconds, 0, longest_s),
        ]
    )


def drift_plot(report: Report) -> str:
    """Speech level turn by turn; nothing where there were no dialogues."""
    return turns_plot(
        "Speech level, turn by turn", {m.name: m.by_turn["level"] for m in _talkers(report)}
    )


def _texts(lines: Sequence[SceneLine]) -> list[str]:
    return [line.written.text for line in lines if line.written.text]


def _lines(report: Report) -> list[list[str]]:
    """The first seed's answer of every author, scene by scene."""
    first = report.marked[0].performance.lines
    if not first:
        return []
    seed = first[0].seed
    scenes = list(dict.fromkeys(line.scene.input for line in first))[:_NUM_LINES]
    answers = [
        {of.scene.input: of.written for of in m.performance.lines if of.seed == seed}
        for m in report.marked
    ]
    return [
        [scene, *(_said(of[scene].text, of[scene].error) if scene in of else "" for of in answers)]
        for scene in scenes
    ]


def _talkers(report: Report) -> list[Marked]:
    return [marked for marked in report.marked if marked.performance.turns]


def _talk(report: Report) -> list[list[str]]:
    talkers = _talkers(report)
    if not talkers:
        return []
    first = talkers[0].performance.turns[0].dialogue_id
    talks = [_of_dialogue(marked, first) for marked in talkers]
    return [
        [str(turn), talks[0][turn].user, *(_said_in(talk.get(turn)) for talk in talks)]
        for turn in sorted(talks[0])
    ]


def _of_dialogue(marked: Marked, dialogue_id: str) -> dict[int, DialogueLine]:
    turns = marked.performance.turns
    return {line.turn: line for line in turns if line.dialogue_id == dialogue_id}


def _said_in(line: DialogueLine | None) -> str:
    return "" if line is None else _said(line.written.text, line.written.error)


def _said(text: str, error: str | None) -> str:
    return text if error is None else f"({error})"


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return html_table(header, (f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in rows))


def _html_cell(text: str) -> str:
    style = text.replace(" ", "-") if text in set(Verdict) else ""
    return f'<td class="{style}">{escape(text)}</td>'
