"""A shard's clips on disk. Its record is written last: with it the shard is done, without it not.

shards/KEY.jsonl            a line for each clip and for each rejection
shards/KEY.semantic.jsonl   [name, tokens] of each clip
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
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
    with _writer(out, key, output) as write:
        for entry in entries:
            if isinstance(entry, Rejection):
                lines.append(_line({"rejection": asdict(entry)}))
            else:
                write(entry)
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


@contextmanager
def _writer(out: Path, key: str, output: Output) -> Iterator[Callable[[Clip], None]]:
    """A function that stores a clip, in files of its own or in the shard's Parquet part."""
    if output == "layout":
        yield partial(_write_layout, out)
        return
    with (
        replacing(out / PARQUET_CLIPS / part_name(key)) as path,
        pyarrow.parquet.ParquetWriter(path, _SCHEMA) as file,
    ):
        yield partial(_write_row_group, file)


def _write_row_group(file: pyarrow.parquet.ParquetWriter, clip: Clip) -> None:
    row = asdict(_record(clip)) | {
        "phoneme_ids": ids_of(clip.phonemes),
        "labels": json.dumps(clip.labels, ensure_ascii=False),
        "wav32k": _riff(clip),
        "ssl_features": clip.ssl_features.numpy().astype("<f2").tobytes(),
    }
    file.write_table(pyarrow.Table.from_pylist([row], _SCHEMA))


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
