"""Scenes and dialogues that no character is trained on, and the characters' own rows.

They lie in `training/persona/data`; its README says how they were written.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from models.gpt_sovits.published import EmotionName
from models.persona.scene import Scene, Turn

CHARACTERS = ("bujang", "sinip")

_STRICT = ConfigDict(extra="forbid", strict=True)

_Input = Annotated[str, StringConstraints(min_length=1)]
_Parsed = TypeVar("_Parsed")


class HeldOutError(ValueError):
    """A file of held-out scenes or dialogues is malformed."""


@dataclass(frozen=True)
class HeldOutScene:
    """A scene as its input section, and the emotion its stage direction asks for."""

    __pydantic_config__ = _STRICT

    input: _Input
    emotion: EmotionName

    @property
    def scene(self) -> Scene:
        """The scene that `input` is written from."""
        return Scene.parse(self.input)


@dataclass(frozen=True)
class HeldOutDialogue:
    """What a user says, turn by turn, to see whether a character stays itself."""

    __pydantic_config__ = _STRICT

    dialogue_id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
    turns: Annotated[tuple[_Input, ...], Field(strict=False, min_length=1, max_length=40)]

    def user_turns(self) -> list[Turn]:
        """The turns as history keeps them."""
        return [Turn("user", text) for text in self.turns]


def rows_path(character: str) -> Path:
    """The training rows of a character.

    Raises:
        ValueError: no rows were written for it.
    """
    if character not in CHARACTERS:
        raise ValueError(f"no rows for {character!r}; there are some for {', '.join(CHARACTERS)}")
    return _data_path(f"{character}.jsonl")


def held_out_scenes(path: Path | None = None) -> list[HeldOutScene]:
    """Scenes of a file, by default the project's own.

    Raises:
        HeldOutError: a line is no such scene.
    """
    return _read(path or _data_path("eval_scenes.jsonl"), TypeAdapter(HeldOutScene))


def held_out_dialogues(path: Path | None = None) -> list[HeldOutDialogue]:
    """Dialogues of a file, by default the project's own.

    Raises:
        HeldOutError: a line is no such dialogue.
    """
    return _read(path or _data_path("eval_dialogues.jsonl"), TypeAdapter(HeldOutDialogue))


def _data_path(name: str) -> Path:
    return Path(str(files("training.persona") / "data" / name))


def _read(path: Path, adapter: TypeAdapter[_Parsed]) -> list[_Parsed]:
    parsed = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            parsed.append(adapter.validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise HeldOutError(f"{path}, line {number}: {where}: {first['msg']}") from None
    return parsed
