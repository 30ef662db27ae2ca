"""A prepared corpus on disk, and how training reads it.

prepared.json             what it is; written last, so a folder with it is complete
clips.jsonl               one object a clip: speaker, text, labels, duration, ...
tokenizer.safetensors     the quantiser behind the semantic tokens, named as in `Synthesizer`
report.json, report.md    what was kept, what was dropped and why

output: layout, the files of the reference          output: parquet, the same in shards
2-name2text.txt                                     clips/part-<shard>.parquet
3-bert/NAME.pt             Chinese only
4-cnhubert/NAME.pt         (1, ssl_dim, frame) fp16
5-wav32k/NAME              32 kHz, 16 bit RIFF
6-name2semantic.tsv                                 6-name2semantic.parquet
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet
import torch
from torch import Tensor

from models.audio.load import AudioError, AudioLimits, load_audio
from models.text.symbols import symbol_ids

FORMAT_VERSION = 1
SAMPLE_RATE = 32_000

MANIFEST = "prepared.json"
CLIPS = "clips.jsonl"
TOKENIZER = "tokenizer.safetensors"
NAME2TEXT = "2-name2text.txt"
BERT = "3-bert"
SSL_FEATURES = "4-cnhubert"
WAVES = "5-wav32k"
NAME2SEMANTIC = "6-name2semantic.tsv"
SEMANTIC_HEADER = "item_name\tsemantic_audio"
PARQUET_CLIPS = "clips"
PARQUET_SEMANTIC = "6-name2semantic.parquet"

Output = Literal["layout", "parquet"]

_MAX_CLIP = AudioLimits(max_bytes=64 * 2**20, max_seconds=60.0)
_MAX_FEATURE_BYTES = 32 * 2**20


class PreparedError(ValueError):
    """The folder is no complete prepared corpus, or a file in it is damaged."""


@dataclass(frozen=True)
class LayoutSource:
    """Where a clip's audio and features are in the reference layout."""

    folder: Path
    name: str

    def waveform_bytes(self) -> bytes:
        return (self.folder / WAVES / self.name).read_bytes()

    def ssl_features(self) -> Tensor:
        """(frame, ssl_dim) float16 or float32."""
        path = self.folder / SSL_FEATURES / f"{self.name}.pt"
        if path.stat().st_size > _MAX_FEATURE_BYTES:
            raise PreparedError(f"{path} has more than {_MAX_FEATURE_BYTES} bytes")
        stored = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(stored, Tensor) or stored.dim() != 3 or stored.shape[0] != 1:
            raise PreparedError(f"{path} holds no tensor of shape (1, dim, frame)")
        return stored[0].t()


@dataclass(frozen=True)
class ParquetSource:
    """A row group of a shard; there is one for each clip, so that one can be read alone."""

    path: Path
    row_group: int

    def waveform_bytes(self) -> bytes:
        return bytes(self._read("wav32k"))

    def ssl_features(self) -> Tensor:
        """(frame, ssl_dim) float16."""
        values, num_frames = self._read("ssl_features"), int(self._read("num_frames"))
        flat = np.frombuffer(values, dtype="<f2").copy()
        return torch.from_numpy(flat).reshape(num_frames, -1)

    def _read(self, column: str) -> Any:
        with pyarrow.parquet.ParquetFile(self.path) as file:
            return file.read_row_group(self.row_group, columns=[column])[column][0].as_py()


@dataclass(frozen=True)
class PreparedClip:
    """One clip that S1 and S2 can learn from."""

    name: str
    speaker: str
    language: str
    text: str
    """As it was written."""
    phoneme_ids: list[int]
    """Ids of the 732 GPT-SoVITS v2 symbols, as the service's text front end gives them."""
    semantic_tokens: list[int]
    """25 a second."""
    duration_s: float
    labels: dict[str, str]
    """What else the corpus says of it: emotion, age, gender, style."""
    is_augmented: bool
    """A copy with noise and leading silence: for S1, and for robustness; no target of sound."""
    source: LayoutSource | ParquetSource

    def waveform(self) -> Tensor:
        """(samples,) float32 at 32 kHz.

        Raises:
            PreparedError: no 32 kHz audio.
        """
        try:
            audio = load_audio(self.source.waveform_bytes(), _MAX_CLIP)
        except AudioError as error:
            raise PreparedError(f"clip {self.name}: {error}") from error
        if audio.sample_rate != SAMPLE_RATE:
            raise PreparedError(f"clip {self.name} is at {audio.sample_rate} Hz")
        return audio.waveform

    def ssl_features(self) -> Tensor:
        """(frame, ssl_dim) float32, 50 frames a second.

        Raises:
            PreparedError: no such tensor, or values that are not finite.
        """
        features = self.source.ssl_features().float()
        if not bool(features.isfinite().all()):
            raise PreparedError(f"clip {self.name} has features that are not finite")
        return features.contiguous()


@dataclass(frozen=True)
class Manifest:
    """`prepared.json`: what a prepared folder holds."""

    format_version: int
    output: Output
    ssl: str
    """Name of the SSL encoder, as in a published checkpoint."""
    ssl_dim: int
    codebook_size: int
    num_clips: int
    total_s: float
    shards: list[str]
    """Names of the Parquet shards in order; empty for the layout."""


def read_manifest(folder: Path) -> Manifest:
    """Raises PreparedError unless `folder` holds a complete corpus of this format."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PreparedError(f"{folder} has no {MANIFEST}: preparing did not finish") from None
    except (TypeError, ValueError) as error:
        raise PreparedError(f"{folder / MANIFEST} is malformed: {error}") from error
    if manifest.format_version != FORMAT_VERSION:
        raise PreparedError(f"{folder} has format version {manifest.format_version}")
    return manifest


def read_prepared(folder: Path) -> list[PreparedClip]:
    """All clips of a prepared corpus, in its order; audio and features are read when asked for.

    Raises:
        PreparedError: preparing did not finish, or a file is missing or damaged.
    """
    manifest = read_manifest(folder)
    read = _read_parquet if manifest.output == "parquet" else _read_layout
    try:
        clips = list(read(folder, manifest))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PreparedError(f"{folder} is damaged: {error!r}") from error
    if len(clips) != manifest.num_clips:
        raise PreparedError(f"{folder} has {len(clips)} clips, not {manifest.num_clips}")
    return clips


def _read_layout(folder: Path, manifest: Manifest) -> Iterator[PreparedClip]:
    phonemes = dict(_name2text(folder / NAME2TEXT))
    tokens = dict(_name2semantic(folder / NAME2SEMANTIC))
    for line in _lines(folder / CLIPS):
        entry = json.loads(line)
        name = _checked_name(entry["name"])
        yield PreparedClip(
            name=name,
            phoneme_ids=phonemes[name],
            semantic_tokens=tokens[name],
            source=LayoutSource(folder, name),
            **_described(entry),
        )


def _read_parquet(folder: Path, manifest: Manifest) -> Iterator[PreparedClip]:
    table = pyarrow.parquet.read_table(folder / PARQUET_SEMANTIC)
    tokens = dict(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    for shard in manifest.shards:
        path = folder / PARQUET_CLIPS / _checked_name(shard)
        columns = [*_DESCRIBED, "name", "phoneme_ids"]
        rows = pyarrow.parquet.read_table(path, columns=columns).to_pylist()
        for idx, row in enumerate(rows):
            row["labels"] = json.loads(row["labels"])
            yield PreparedClip(
                name=row["name"],
                phoneme_ids=row["phoneme_ids"],
                semantic_tokens=tokens[row["name"]],
                source=ParquetSource(path, idx),
                **_described(row),
            )


_DESCRIBED = ("speaker", "language", "text", "duration_s", "labels", "is_augmented")


def _described(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in _DESCRIBED}


def _checked_name(name: str) -> str:
    """A name becomes a path: it must stay in its folder."""
    if not name or "/" in name or "\0" in name or name.startswith("."):
        raise PreparedError(f"{name!r} is no name of a clip or shard")
    return name


def _name2text(path: Path) -> Iterator[tuple[str, list[int]]]:
    ids = symbol_ids()
    for line in _lines(path):
        name, phones, _, _ = line.split("\t")
        yield name, [ids[phone] for phone in phones.split(" ")]


def _name2semantic(path: Path) -> Iterator[tuple[str, list[int]]]:
    lines = _lines(path)
    if (header := next(lines, "")) != SEMANTIC_HEADER:
        raise PreparedError(f"{path} begins with {header!r}, not {SEMANTIC_HEADER!r}")
    for line in lines:
        name, tokens = line.split("\t")
        yield name, [int(token) for token in tokens.split(" ")]


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")
