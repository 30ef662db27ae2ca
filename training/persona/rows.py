"""Training rows of a character: JSONL, checked line by line.

    {"instruction": character sheet, "input": "상황: … [지문: …]", "output": the line}

`input` is written exactly as serving writes it (`Scene.to_input`), so that a model is asked in the
words it was trained on. Every fault of a file is reported at once, each with its line number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from models.persona.persona import Instruction
from models.persona.scene import MAX_TURN_CHARS, Scene, neutralize

MAX_LINE_BYTES = 64 * 1024

_MAX_FAULTS_SHOWN = 20


def _input(text: str) -> str:
    written = Scene.parse(text).to_input()
    if written != text:
        raise ValueError(f"serving would write it as {written!r}")
    return text


def _output(text: str) -> str:
    if neutralize(text) != text:
        raise ValueError("holds line breaks, spare blanks or prompt structure ([ ] < > ##)")
    return text


@dataclass(frozen=True)
class Row:
    """One scene and what the character says to it."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    instruction: Instruction
    input: Annotated[str, AfterValidator(_input)]
    output: Annotated[
        str, StringConstraints(min_length=1, max_length=MAX_TURN_CHARS), AfterValidator(_output)
    ]

    @property
    def scene(self) -> Scene:
        """The scene that `input` is written from."""
        return Scene.parse(self.input)


@dataclass(frozen=True)
class Fault:
    """Why a line of a file is no row; lines count from 1."""

    line_number: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line_number}: {self.reason}"


class RowsError(ValueError):
    """A file of rows cannot be used; `faults` says why, line by line."""

    def __init__(self, path: Path, faults: Sequence[Fault]) -> None:
        self.path = path
        self.faults = tuple(faults)
        shown = "".join(f"\n  {fault}" for fault in self.faults[:_MAX_FAULTS_SHOWN])
        hidden = len(self.faults) - _MAX_FAULTS_SHOWN
        rest = f"\n  and {hidden} more" if hidden > 0 else ""
        super().__init__(f"{path} has {len(self.faults)} bad rows:{shown}{rest}")


_ROW = TypeAdapter(Row)


def parse_row(line: bytes) -> Row:
    """Read one line of a file.

    Raises:
        ValueError: it is too long, not UTF-8, not a JSON object, or a field is missing, unknown, of
            the wrong type, too long, or not as serving would write it.
    """
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"longer than the {MAX_LINE_BYTES} bytes allowed")
    try:
        text = line.decode("utf-8")
        json.loads(text, object_pairs_hook=_without_repeated_names)  # pydantic keeps the last one
        return _ROW.validate_json(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("not JSON of this shape: nested too deeply") from None
    except ValidationError as error:
        raise ValueError(_describe(error)) from None


def read_rows(path: Path) -> tuple[list[Row], list[Fault]]:
    """Every good row of a file in order, and every fault; blank lines are faults too.

    Raises:
        OSError: the file cannot be read.
    """
    rows: list[Row] = []
    faults: list[Fault] = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            rows.append(parse_row(line))
        except ValueError as error:
            faults.append(Fault(number, str(error)))
    return rows, faults


def load_rows(path: Path) -> list[Row]:
    """The rows of a file without faults.

    Raises:
        OSError: the file cannot be read.
        RowsError: a line is no row, or there is none at all.
    """
    rows, faults = read_rows(path)
    if not rows and not faults:
        faults = [Fault(1, "the file is empty")]
    if faults:
        raise RowsError(path, faults)
    return rows


def _lines(path: Path) -> Iterator[bytes]:
    """Lines without their ends; one that is too long comes cut, just long enough to be refused."""
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 2):
            yield line.rstrip(b"\r\n")
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE_BYTES)


def _without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _describe(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'row'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )
