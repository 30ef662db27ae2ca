"""The report: JSON for programs, Markdown and one HTML page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from training.evaluation.gates import Outcome, Verdict
from training.evaluation.metrics import written
from training.evaluation.plots import Panel, Series, figure
from training.persona.evaluation.marks import MARKS, Figures
from training.persona.evaluation.performance import DialogueLine, Performance, SceneLine
from training.persona.evaluation.turns_plot import turns_plot

NOTES = (
    "As served, the engine lets a sentence end only in the persona's speech level, and draws "
    "Hangul alone. Unguided: the same adapter, free to end a sentence as it likes. Base: the model "
    "without an adapter, unguided, told the same character sheet.",
    "The predecessor's seconds are those it reported, of a model forty times as large on a GPU.",
    "The scene classifier sees shared letters, not sense; beside it stands what it says of "
    "held-out lines that people would call fitting.",
)
_NUM_LINES = 20
_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .3rem .6rem; vertical-align: top }
tr { border-bottom: 1px solid #8884 }
.passed { color: #2e8b57 } .failed { color: #d0392b; font-weight: bold }
.not-measured { color: #b8860b } svg { max-width: 100%; height: auto }
footer { opacity: .7; font-size: 90% }
"""


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
        return not any(outcome.fails_voice for outcome in self.outcomes)

    @property
    def verdict(self) -> str:
        """One line."""
        failed = [outcome.gate.metric.label for outcome in self.outcomes if outcome.fails_voice]
        name = self.marked[0].name
        if not failed:
            return f"{name} passes all {len(self.outcomes)} gates"
        return f"{name} fails {len(failed)} of {len(self.outcomes)} gates: {', '.join(failed)}"


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
        _markdown_table(header, rows),
        f"![Each line, and the mean]({name}.svg)",
        f"![Turn by turn]({name}-turns.svg)" if _talkers(report) else "",
        "\n".join([*conditions, *(f"- {note}" for note in NOTES)]),
        "## What was said to scenes nobody was trained on",
        _markdown_table(["scene", *(m.name for m in report.marked)], _lines(report)),
        "## The first dialogue",
        _markdown_table(["turn", "user", *(m.name for m in _talkers(report))], _talk(report)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html(report: Report) -> str:
    """One page that needs nothing else."""
    header, rows = table(report)
    verdict = "passed" if report.passes else "failed"
    facts = [f"{name}: {value}" for name, value in report.conditions.items()]
    items = "".join(f"<li>{escape(item)}</li>" for item in (*facts, *NOTES))
    talkers = [m.name for m in _talkers(report)]
    return (
        '<!doctype html><html lang="ko"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(report.title)}</h1>"
        f'<p class="{verdict}">{escape(report.verdict)}.</p>'
        f"{_html_table(header, rows)}{plots(report)}{drift_plot(report)}"
        f"<h2>Lines</h2>{_html_table(['scene', *(m.name for m in report.marked)], _lines(report))}"
        f"<h2>The first dialogue</h2>{_html_table(['turn', 'user', *talkers], _talk(report))}"
        f"<footer><ul>{items}</ul></footer></body></html>\n"
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


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _html_cell(text: str) -> str:
    style = text.replace(" ", "-") if text in set(Verdict) else ""
    return f'<td class="{style}">{escape(text)}</td>'
