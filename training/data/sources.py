"""Where the recordings are: rows of a list, or the folders of an AI Hub data set.

Everything in a list or a label comes from outside. A row whose path leaves the data folder, whose
speaker or name could become a path, or that cannot be read, is refused alone; the rest goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from training.data.config import AiHubInput, ListInput
from training.loops.strict import ConfigError

LANGUAGES = {
    variant: language
    for language, variants in {
        "ko": ("ko", "KO", "Ko"),
        "en": ("en", "EN", "En"),
        "ja": ("ja", "JA", "jp", "JP"),
        "zh": ("zh", "ZH"),
        "yue": ("yue", "YUE", "Yue"),
    }.items()
    for variant in variants
}

COPY_PREFIX = "noisy-"
"""Augmented copies are named with it, so no recording may be."""

_SPEAKER = re.compile(r"\w[\w .-]{0,63}")
_MAX_LINE_BYTES = 16_384
_MAX_NAME_BYTES = 180  # with the suffixes of slices, copies and features, within 255


class Rejected(ValueError):
    """A source or a clip that can't be used.

    Args:
        reason: a few words, the same for all of its kind.
        detail: what was found, and what is allowed.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Rejection:
    """A line of the report."""

    origin: str
    """The row or file it came from, relative to the data folder."""
    reason: str
    detail: str


@dataclass(frozen=True)
class Source:
    """One recording and what is said in it; text and speaker may still be in the label."""

    name: str
    """Of the clip in the prepared corpus, with the file's extension."""
    audio: str
    """Absolute path, inside the data folder."""
    origin: str
    language: str
    speaker: str = ""
    text: str = ""
    label: str | None = None
    """Absolute path of the JSON that has the rest."""
    labels: dict[str, str] | None = None


@dataclass(frozen=True)
class Shard:
    """Sources that are prepared in one go."""

    key: str
    """Place and content: a shard whose sources changed is another one."""
    sources: tuple[Source, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Shard:
        fields = json.loads(text)
        return cls(fields["key"], tuple(Source(**source) for source in fields["sources"]))


def find_sources(spec: ListInput | AiHubInput) -> tuple[list[Source], list[Rejection]]:
    """All recordings in a fixed order, and what was refused without opening a recording.

    Raises:
        ConfigError: the input does not exist or has no recordings at all.
    """
    if spec.path is None:
        raise ConfigError("no input: name it in the configuration or with --input")
    if not spec.path.exists():
        raise ConfigError(f"{spec.path} does not exist")
    found: Iterable[Source | Rejection] = (
        _listed(spec.path) if isinstance(spec, ListInput) else _labelled(spec, spec.path)
    )
    sources: list[Source] = []
    rejections: list[Rejection] = []
    names: set[str] = set()
    for entry in found:
        if isinstance(entry, Source) and entry.name in names:
            detail = f"another recording is named {entry.name!r}"
            entry = Rejection(entry.origin, "duplicate name", detail)
        if isinstance(entry, Source):
            names.add(entry.name)
            sources.append(entry)
        else:
            rejections.append(entry)
    if not sources and not rejections:
        raise ConfigError(f"{spec.path} has no recordings")
    return sources, rejections


def shards_of(sources: list[Source], sources_per_shard: int) -> list[Shard]:
    """Consecutive sources together; the same sources give the same shards."""
    shards: list[Shard] = []
    for start in range(0, len(sources), sources_per_shard):
        part = tuple(sources[start : start + sources_per_shard])
        content = json.dumps([asdict(source) for source in part], ensure_ascii=False)
        digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
        shards.append(Shard(f"{len(shards):05d}-{digest[:12]}", part))
    return shards


def checked_speaker(speaker: str) -> str:
    """A speaker's name as it may appear in reports, folders and identifiers.

    Raises:
        Rejected: it is empty, too long or has other characters.
    """
    speaker = unicodedata.normalize("NFC", speaker.strip())
    if not _SPEAKER.fullmatch(speaker) or ".." in speaker:
        raise Rejected(
            "bad speaker name", f"{speaker[:80]!r}; letters, digits, space, '.', '_' and '-' only"
        )
    return speaker


def _listed(path: Path) -> Iterator[Source | Rejection]:
    path = path / "list.txt" if path.is_dir() else path
    root = path.parent.resolve()
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    with file:
        number = 0
        while line := file.readline(_MAX_LINE_BYTES):
            number += 1
            is_whole = line.endswith(b"\n") or len(line) < _MAX_LINE_BYTES
            while not is_whole:  # the rest of a line that is too long
                is_whole = (rest := file.readline(_MAX_LINE_BYTES)).endswith(b"\n") or not rest
                line += b"" if len(line) > _MAX_LINE_BYTES else rest[:1]
            if line.strip():
                origin = f"{path.name}:{number}"
                try:
                    yield _row(line, root, origin)
                except Rejected as error:
                    yield Rejection(origin, error.reason, error.detail)


def _row(line: bytes, root: Path, origin: str) -> Source:
    if len(line) > _MAX_LINE_BYTES:
        raise Rejected("malformed row", f"longer than {_MAX_LINE_BYTES} bytes")
    try:
        parts = line.decode("utf-8-sig").rstrip("\r\n").split("|")
    except UnicodeDecodeError as error:
        raise Rejected("wrong encoding", f"the row is not UTF-8: {error.reason}") from error
    if len(parts) != 4:
        raise Rejected("malformed row", f"{len(parts)} fields; path|speaker|language|text are 4")
    path, speaker, language, text = parts
    if language not in LANGUAGES:
        raise Rejected("unknown language", f"{language[:20]!r}; allowed: {', '.join(LANGUAGES)}")
    audio = _inside(root, path)
    return Source(
        name=_checked_name(os.path.basename(path)),
        audio=str(audio),
        origin=origin,
        language=LANGUAGES[language],
        speaker=checked_speaker(speaker),
        text=text,
    )


def _labelled(spec: AiHubInput, path: Path) -> Iterator[Source | Rejection]:
    root = path.resolve()
    labels = dict(_files_below(root, [label for _, label in spec.folder_prefixes], [".json"]))
    audio_of = {label: audio for audio, label in spec.folder_prefixes}
    expected = {(audio_of[prefix], *place): label for (prefix, *place), label in labels.items()}
    audio_prefixes = [audio for audio, _ in spec.folder_prefixes]
    for place, audio in _files_below(root, audio_prefixes, spec.audio_suffixes):
        origin = str(audio.relative_to(root))
        label = expected.pop(place, None)
        try:
            if label is None:
                raise Rejected("missing label", "no JSON at the same place in the label folders")
            inside, label_inside = _inside(root, str(audio)), _inside(root, str(label))
            _, folder, relative = place
            name = "-".join((*filter(None, folder.split("/")), *Path(relative).parts))
            name = _checked_name(name + audio.suffix)
        except Rejected as error:
            yield Rejection(origin, error.reason, error.detail)
        else:
            yield Source(name, str(inside), origin, spec.language, label=str(label_inside))
    for label in expected.values():
        yield Rejection(
            str(label.relative_to(root)), "missing audio", "a label without a recording"
        )


_Place = tuple[str, str, str]


def _files_below(
    root: Path, prefixes: list[str], suffixes: list[str]
) -> Iterator[tuple[_Place, Path]]:
    """Files below folders whose name has one of the prefixes, in order.

    Yields:
        (prefix, rest of that folder's name, path below it without suffix), and the file.
    """
    for folder, subfolders, files in os.walk(root):
        subfolders.sort()
        for file in sorted(files):
            path = Path(folder, file)
            if path.suffix.lower() not in suffixes:
                continue
            parts = path.relative_to(root).parts
            for depth, part in enumerate(parts[:-1]):
                prefix = next((prefix for prefix in prefixes if part.startswith(prefix)), None)
                if prefix is not None:
                    below = Path(*parts[depth + 1 :]).with_suffix("")
                    yield (prefix, part.removeprefix(prefix), str(below)), path
                    break


def _inside(root: Path, path: str) -> Path:
    """The file a path names, links followed, if it lies in the data folder.

    Raises:
        Rejected: it lies elsewhere, does not exist, or is no regular file.
    """
    if not path or "\0" in path:
        raise Rejected("malformed row", "the path is empty or holds a zero byte")
    try:
        resolved = (root / path).resolve(strict=False)
        if not resolved.is_relative_to(root):
            raise Rejected("outside the data folder", f"{path[:200]!r}")
        if not resolved.is_file():
            raise Rejected("missing audio", f"no file {path[:200]!r}")
    except (OSError, RuntimeError) as error:  # too long, or links in a circle
        raise Rejected("missing audio", f"{path[:200]!r}: {error}") from error
    return resolved


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    is_clean = all(unicodedata.category(char)[0] not in "CZ" or char == " " for char in name)
    is_usable = is_clean and not name.startswith((".", COPY_PREFIX))
    if not name or not is_usable or len(name.encode()) > _MAX_NAME_BYTES:
        raise Rejected(
            "bad file name",
            f"{name[:80]!r}; 1 to {_MAX_NAME_BYTES} bytes, no control characters, "
            f"not beginning with '.' or {COPY_PREFIX!r}",
        )
    return name
