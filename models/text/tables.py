"""Reads the tab-separated tables in `models/text/data`."""

from functools import cache
from importlib.resources import files


@cache
def read_table(name: str) -> tuple[tuple[str, str], ...]:
    """The two columns of `data/<name>.tsv`, in file order; lines that start with # are comments."""
    text = (files("models.text") / "data" / f"{name}.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return tuple((key, value) for key, value in rows)
