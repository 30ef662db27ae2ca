"""What reports and model cards are written with: tables, and a page around a body."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape

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


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; a cell is one line, whatever its text."""
    lines: list[Sequence[object]] = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def file_table(files: Mapping[str, bytes]) -> str:
    """Files by name, in Markdown, with size and hash."""
    rows = [
        (name, f"{len(content):,}", f"`{hashlib.sha256(content).hexdigest()}`")
        for name, content in files.items()
    ]
    return markdown_table(["file", "bytes", "SHA-256"], rows)


def html_table(header: Sequence[str], rows: Iterable[str]) -> str:
    """A table of rows that are HTML already."""
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def html_page(
    title: str, language: str, verdict: str, passes: bool, body: str, notes: Iterable[str]
) -> str:
    """One page that needs nothing else.

    Args:
        title: of the page.
        language: code of the language that most of it is in.
        verdict: one line, under the title.
        passes: whether that is good news.
        body: HTML.
        notes: in the footer.
    """
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{escape(title)}</h1><p class="{"passed" if passes else "failed"}">'
        f"{escape(verdict)}.</p>{body}<footer><ul>{items}</ul></footer></body></html>\n"
    )


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
