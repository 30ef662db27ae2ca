"""Model cards: where weights come from, what they are worth, and how to make them again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.evaluation.markup import file_table, markdown_table
from training.evaluation.metrics import METRIC_OF, METRICS, written
from training.publishing.config import CardArgs

_NUM_LOG_LINES = 30
# Identifiers that model hubs know; anything else is `other` there.
_KNOWN_LICENCES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0")


def model_card(
    title: str,
    description: str,
    licence: str,
    language: str,
    facts: Mapping[str, str],
    metrics: Mapping[str, float],
    files: Mapping[str, bytes],
    card: CardArgs,
) -> str:
    """A README with the front matter that model hubs read.

    Args:
        title: id and version.
        description: one paragraph.
        licence: of the weights or the voice.
        language: code of the language spoken.
        facts: further rows of the first table.
        metrics: figures of an evaluation by metric name; may be empty.
        files: what lies beside the card; listed with size and hash.
        card: data, teacher, configurations, logs, commands.
    """
    rows = {"licence": licence, "data": card.data, "teacher": card.teacher, **facts}
    if card.seed is not None:
        rows["seed"] = str(card.seed)
    parts = [
        _front_matter(licence, language),
        f"# {title}",
        description,
        markdown_table(["", ""], list(rows.items())),
        "## Figures",
        _metrics(metrics),
        "## Files",
        file_table(files),
    ]
    if card.commands:
        parts += ["## Made again by", _fenced("\n".join(card.commands), "sh")]
    for path in card.configs:
        parts += [f"## {path.name}", _fenced(path.read_text(encoding="utf-8").strip(), "yaml")]
    for path in card.logs:
        parts += [f"## End of {path.name}", _fenced(_last_lines(path), "text")]
    return "\n\n".join(parts) + "\n"


def _front_matter(licence: str, language: str) -> str:
    known = licence.lower() if licence.lower() in _KNOWN_LICENCES else "other"
    return (
        f"---\nlicense: {known}\nlanguage: {language}\npipeline_tag: text-to-speech\n"
        "tags: [text-to-speech, gpt-sovits]\n---"
    )


def _metrics(metrics: Mapping[str, float]) -> str:
    if not metrics:
        return "Not evaluated yet."
    rows = [
        (metric.label, written(metric, metrics[metric.name]))
        for metric in METRICS
        if metric.name in metrics
    ]
    rows += [(name, f"{value:g}") for name, value in metrics.items() if name not in METRIC_OF]
    return markdown_table(["metric", "value"], rows)


def _fenced(text: str, language: str) -> str:
    return f"~~~~{language}\n{text}\n~~~~"


def _last_lines(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_NUM_LOG_LINES:])
