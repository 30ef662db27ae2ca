"""What a persona reacts to: a scene, and the turns that came before it.

Text from outside is made harmless here, once, when a `Scene` or a `Turn` is built: afterwards it
holds no character that the prompt's structure is made of (see `neutralize`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

MAX_SITUATION_CHARS = 1000
MAX_TAG_CHARS = 200
MAX_TURN_CHARS = 1000
MAX_HISTORY_TURNS = 40

_TAG = r"(?:\s*\[{label}:(?P<{group}>[^\[\]]*)\])?"
_INPUT = re.compile(
    r"\s*(?:상황:)?(?P<situation>.*?)"
    + _TAG.format(label="분야", group="category")
    + _TAG.format(label="문체", group="style")
    + _TAG.format(label="지문", group="direction")
    + r"\s*",
    re.DOTALL,
)
# Brackets make tags and special tokens (`<eos>`); their look-alikes mean the same to a reader.
_LOOK_ALIKES = str.maketrans("[]<>", "()〈〉")


class SceneError(ValueError):
    """A scene or its history cannot be used: a part is empty, too long, or there are too many."""


def neutralize(text: str) -> str:
    """Return `text` on one line and without the characters that structure a prompt.

    Line breaks and control characters become spaces, `[ ] < >` become look-alikes, and a run of
    `#` becomes a single one. So no text from outside can open a `###` section, close its own, add
    a `[지문: …]` tag, or spell one of the model's special tokens.
    """
    printable = "".join(
        " " if unicodedata.category(char).startswith("C") else char for char in text
    )
    one_hash = re.sub(r"#[#\s]*#", "#", printable.translate(_LOOK_ALIKES))
    return " ".join(one_hash.split())


@dataclass(frozen=True)
class Scene:
    """A situation with its optional field, style and stage direction (지문), all neutralized.

    Raises:
        SceneError: no situation is left, or a part is longer than allowed.
    """

    situation: str
    category: str = ""
    style: str = ""
    direction: str = ""

    def __post_init__(self) -> None:
        for name in ("situation", "category", "style", "direction"):
            object.__setattr__(self, name, neutralize(getattr(self, name)))
        # "상황:" is the label `to_input` writes; a second one would not survive the round trip.
        while self.situation.startswith("상황:"):
            object.__setattr__(self, "situation", self.situation.removeprefix("상황:").strip())
        if not self.situation:
            raise SceneError("the scene is empty; describe the situation in a sentence")
        _check_length("the situation", self.situation, MAX_SITUATION_CHARS)
        for name in ("category", "style", "direction"):
            _check_length(f"the {name}", getattr(self, name), MAX_TAG_CHARS)

    @classmethod
    def parse(
        cls, prompt: str, *, category: str = "", style: str = "", direction: str = ""
    ) -> Scene:
        """Read a scene as a caller writes it, the inverse of `to_input`.

        Trailing `[분야: …] [문체: …] [지문: …]` tags are parsed out; a part given as an argument
        wins over its tag. A tag anywhere else is plain text.

        Example:
            >>> Scene.parse("회의 시간에 졸았다. [지문: 하품하며]").direction
            '하품하며'
        """
        _check_length("the scene", prompt, MAX_SITUATION_CHARS + 4 * MAX_TAG_CHARS)
        # Every part is written so in the end; here it spares the pattern runs of blanks, each of
        # which it would read once for every blank in it.
        match = _INPUT.fullmatch(" ".join(prompt.split()))
        assert match is not None  # every part of the pattern is optional
        tags = match.groupdict(default="")
        return cls(
            situation=tags["situation"],
            category=category or tags["category"],
            style=style or tags["style"],
            direction=direction or tags["direction"],
        )

    def to_input(self) -> str:
        """The input section of a prompt and of a training row; absent parts are omitted."""
        tags = (("분야", self.category), ("문체", self.style), ("지문", self.direction))
        parts = [f"[{label}: {text}]" for label, text in tags if text]
        return " ".join([f"상황: {self.situation}", *parts])


@dataclass(frozen=True)
class Turn:
    """One earlier turn: the scene a user wrote (kept as its input section), or a character's line.

    Raises:
        SceneError: the text is empty or longer than allowed.
    """

    role: Literal["user", "character"]
    text: str

    def __post_init__(self) -> None:
        if self.role == "user":
            object.__setattr__(self, "text", Scene.parse(self.text).to_input())
            return
        object.__setattr__(self, "text", neutralize(self.text))
        if not self.text:
            raise SceneError("a character's turn of the history is empty")
        _check_length("a character's turn of the history", self.text, MAX_TURN_CHARS)


def _check_length(what: str, text: str, max_chars: int) -> None:
    if len(text) > max_chars:
        raise SceneError(f"{what} has {len(text)} characters; at most {max_chars} are allowed")
