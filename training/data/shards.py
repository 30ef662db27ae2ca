"""A shard's clips on disk. Its record is written last: with it the shard is done, without it not.

shards/KEY.jsonl            a line for each clip and for each rejection
shards/KEY.semantic.jsonl   [name, tokens] of each clip
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import soundfile
import torch

from models.checkpoints.replacing import replacing
from models.text.symbols import ids_of
from training.data.clip import Clip
from training.data.prepared import (
    BERT,
    PARQUET_CLIPS,
    SAMPLE_RATE,
    SSL_FEATURES,
    WAVES,
    LayoutSource,
    Output,
    ParquetSource,
)
from training.data.sources import Rejection

RECORDS = "shards"

_SCHEMA = pyarrow.schema(
    [
        ("name", pyarrow.string()),
        ("speaker", pyarrow.string()),
        ("language", pyarrow.string()),
        ("text", pyarrow.string()),
        ("reading", pyarrow.string()),
        ("phonemes", pyarrow.list_(pyarrow.string())),
        ("phoneme_ids", pyarrow.list_(pyarrow.int32())),
        ("duration_s", pyarrow.float64()),
        ("labels", pyarrow.string()),
        ("is_augmented", pyarrow.bool_()),
        ("wav32k", pyarrow.binary()),
        ("ssl_features", pyarrow.binary()),
        ("num_frames", pyarrow.int32()),
    ]
)


@dataclass(frozen=True)
class ClipRecord:
    """What a shard's record says of a clip."""

    name: str
    speaker: str
    language: str
    text: str
    reading: str
    phonemes: list[str]
    duration_s: float
    labels: dict[str, str]
    is_augmented: bool
    num_frames: int


def part_name(key: str) -> str:
    """File name of a shard's Parquet part."""
    return f"part-{key}.parquet"


def make_folders(out: Path, output: Output) -> None:
    """The folders that shards are written to."""
    names = (WAVES, SSL_FEATURES, BERT) if output == "layout" else (PARQUET_CLIPS,)
    for name in (*names, RECORDS):
        (out / name).mkdir(parents=True, exist_ok=True)


def is_done(out: Path, key: str) -> bool:
    return _record_path(out, key).exists()


def write_shard(out: Path, key: str, output: Output, entries: Iterable[Clip | Rejection]) -> None:
    """Write clips as they come, then the record.

    Raises:
        OSError: the folder cannot be written to.
    """
    lines: list[str] = []
    with _PartWriter(out / PARQUET_CLIPS / part_name(key), output) as part:
        for entry in entries:
            if isinstance(entry, Rejection):
                lines.append(_line({"rejection": asdict(entry)}))
                continue
            if output == "layout":
                _write_layout(out, entry)
            else:
                part.write(entry)
            lines.append(_line({"clip": asdict(_record(entry))}))
    with replacing(_record_path(out, key)) as path:
        path.write_text("".join(lines), encoding="utf-8")


def read_record(out: Path, key: str) -> Iterator[ClipRecord | Rejection]:
    """The lines of a finished shard."""
    with _record_path(out, key).open(encoding="utf-8") as file:
        for line in file:
            fields = json.loads(line)
            if "clip" in fields:
                yield ClipRecord(**fields["clip"])
            else:
                yield Rejection(**fields["rejection"])


def sources_of(
    out: Path, key: str, output: Output
) -> Iterator[tuple[ClipRecord, LayoutSource | ParquetSource]]:
    """The clips of a finished shard, and where their audio and features are."""
    clips = (entry for entry in read_record(out, key) if isinstance(entry, ClipRecord))
    for idx, clip in enumerate(clips):
        if output == "layout":
            yield clip, LayoutSource(out, clip.name)
        else:
            yield clip, ParquetSource(out / PARQUET_CLIPS / part_name(key), idx)


def write_tokens(out: Path, key: str, tokens: Iterable[tuple[str, list[int]]]) -> None:
    """Write the semantic tokens of a shard's clips."""
    with replacing(_tokens_path(out, key)) as path:
        path.write_text("".join(map(_line, tokens)), encoding="utf-8")


def read_tokens(out: Path, key: str) -> Iterator[tuple[str, list[int]]]:
    """The semantic tokens of a shard's clips."""
    with _tokens_path(out, key).open(encoding="utf-8") as file:
        for line in file:
            name, tokens = json.loads(line)
            yield name, tokens


class _PartWriter:
    """A Parquet file with a row group for each clip, opened for the first one."""

    def __init__(self, path: Path, output: Output) -> None:
        self._path = path
        self._partial = path.with_suffix(".partial")
        self._file = (
            pyarrow.parquet.ParquetWriter(self._partial, _SCHEMA) if output == "parquet" else None
        )

    def write(self, clip: Clip) -> None:
        assert self._file is not None
        row = asdict(_record(clip)) | {
            "phoneme_ids": ids_of(clip.phonemes),
            "labels": json.dumps(clip.labels, ensure_ascii=False),
            "wav32k": _riff(clip),
            "ssl_features": clip.ssl_features.numpy().astype("<f2").tobytes(),
        }
        self._file.write_table(pyarrow.Table.from_pylist([row], _SCHEMA))

    def __enter__(self) -> _PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            if kind is None:
                self._partial.replace(self._path)


def _write_layout(out: Path, clip: Clip) -> None:
    (out / WAVES / clip.name).write_bytes(_riff(clip))
    # (frame, channel) -> (1, channel, frame), as the reference stores HuBERT's features.
    features = clip.ssl_features.t().contiguous().unsqueeze(0)
    # Saved to memory first: a file's name would become part of its content.
    content = io.BytesIO()
    torch.save(features, content)
    (out / SSL_FEATURES / f"{clip.name}.pt").write_bytes(content.getvalue())


def _riff(clip: Clip) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, clip.samples.astype(np.int16), SAMPLE_RATE, "PCM_16", format="WAV")
    return content.getvalue()


def _record(clip: Clip) -> ClipRecord:
    return ClipRecord(
        clip.name,
        clip.speaker,
        clip.language,
        clip.text,
        clip.reading,
        clip.phonemes,
        clip.duration_s,
        clip.labels,
        clip.is_augmented,
        len(clip.ssl_features),
    )


def _record_path(out: Path, key: str) -> Path:
    return out / RECORDS / f"{key}.jsonl"


def _tokens_path(out: Path, key: str) -> Path:
    return out / RECORDS / f"{key}.semantic.jsonl"


def _line(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"
