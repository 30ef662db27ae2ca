"""JSON labels beside recordings: what is said, by whom, and how."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.data.config import LabelFields
from training.data.sources import Rejected, Source, checked_speaker

_MAX_LABEL_BYTES = 1 << 20


def with_label(source: Source, fields: LabelFields | None) -> Source:
    """The source with what its label says; itself where there is no label.

    Raises:
        Rejected: the label is no readable JSON or lacks text or speaker.
    """
    if source.label is None or fields is None:
        return source
    content = _json(Path(source.label))
    labels = {name: _field(content, paths) for name, paths in fields.labels.items()}
    return replace(
        source,
        speaker=checked_speaker(_required(content, "speaker", fields.speaker)),
        text=_required(content, "text", fields.text),
        labels={name: value for name, value in labels.items() if value is not None},
    )


def _json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_LABEL_BYTES + 1)
    except OSError as error:
        raise Rejected("missing label", f"{error.strerror}") from error
    if len(content) > _MAX_LABEL_BYTES:
        raise Rejected("malformed label", f"more than {_MAX_LABEL_BYTES} bytes")
    text = _decoded(content)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Rejected("malformed label", f"no JSON: {error}") from error


def _decoded(content: bytes) -> str:
    """UTF-8, with or without a mark, or CP949, which older Korean labels are in."""
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Rejected("wrong encoding", "the label is neither UTF-8 nor CP949")


def _required(content: Any, name: str, paths: list[str]) -> str:
    value = _field(content, paths)
    if value is None:
        raise Rejected("malformed label", f"no {name} at any of: {', '.join(paths)}")
    return value


def _field(content: Any, paths: list[str]) -> str | None:
    """The first non-empty string or number at one of the dotted paths."""
    for path in paths:
        value = content
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str | int | float) and str(value).strip():
            return str(value).strip()
    return None
