"""The lists over all shards: which clips there are, what they say, which tokens they have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet

from models.checkpoints.replacing import replacing
from training.data.prepared import (
    CLIPS,
    NAME2SEMANTIC,
    NAME2TEXT,
    PARQUET_SEMANTIC,
    SEMANTIC_HEADER,
    Output,
)
from training.data.shards import ClipRecord, read_record, read_tokens

_SEMANTIC_SCHEMA = pyarrow.schema(
    [("item_name", pyarrow.string()), ("semantic_audio", pyarrow.list_(pyarrow.int32()))]
)


def write_clip_lists(out: Path, keys: list[str], output: Output) -> None:
    """Write the lists of a corpus, shard by shard, each file appearing whole."""
    _replace_lines(out / CLIPS, _over_clips(out, keys, _clip_line))
    if output == "layout":
        _replace_lines(out / NAME2TEXT, _over_clips(out, keys, _text_line))
        _replace_lines(out / NAME2SEMANTIC, _semantic_lines(out, keys))
        return
    with (
        replacing(out / PARQUET_SEMANTIC) as path,
        pyarrow.parquet.ParquetWriter(path, _SEMANTIC_SCHEMA) as file,
    ):
        for key in keys:
            rows = list(read_tokens(out, key))
            columns = [[name for name, _ in rows], [tokens for _, tokens in rows]]
            file.write_table(pyarrow.table(columns, schema=_SEMANTIC_SCHEMA))


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _replace_lines(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)


def _over_clips(out: Path, keys: list[str], line_of: Callable[[ClipRecord], str]) -> Iterator[str]:
    for key in keys:
        for entry in read_record(out, key):
            if isinstance(entry, ClipRecord):
                yield line_of(entry)


def _clip_line(clip: ClipRecord) -> str:
    fields = {
        "name": clip.name,
        "speaker": clip.speaker,
        "language": clip.language,
        "text": clip.text,
        "reading": clip.reading,
        "duration_s": clip.duration_s,
        "labels": clip.labels,
        "is_augmented": clip.is_augmented,
    }
    return json.dumps(fields, ensure_ascii=False)


def _text_line(clip: ClipRecord) -> str:
    # The third field counts phonemes per character, for Chinese alone.
    return f"{clip.name}\t{' '.join(clip.phonemes)}\tNone\t{clip.reading}"


def _semantic_lines(out: Path, keys: list[str]) -> Iterator[str]:
    yield SEMANTIC_HEADER
    for key in keys:
        for name, tokens in read_tokens(out, key):
            yield f"{name}\t{' '.join(map(str, tokens))}"
