"""A published persona: everything `persona.json` says, parsed strictly into frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from models.persona.adapter import AdapterInfo
from models.persona.scene import Scene, neutralize
from models.persona.speech_level import SpeechLevel
from models.persona.training_lines import MAX_RUN_CHARS


def _within_one_section(text: str) -> str:
    if "###" in text:
        raise ValueError("holds '###', which opens a section of the prompt")
    return text


MAX_FILE_BYTES = 256 * 1024
"""A larger `persona.json` is not read."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Instruction = Annotated[Text, AfterValidator(_within_one_section)]
"""A character sheet: what opens every prompt of a persona."""

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
# One line, so that a header cannot smuggle a second section into the template.
Header = Annotated[str, StringConstraints(pattern=r"^### [^\n#]{1,40}$")]

# `hangul`: only Hangul, spaces and punctuation are drawn; `any`: the whole vocabulary.
Script = Literal["hangul", "any"]

_STRICT = ConfigDict(extra="forbid", strict=True)


class PersonaError(ValueError):
    """A `persona.json` is missing, malformed, or not the persona its folder names."""


@dataclass(frozen=True)
class Template:
    """Headers of the three sections of a prompt, each `### …` on a line of its own."""

    __pydantic_config__ = _STRICT

    instruction: Header
    input: Header
    response: Header


@dataclass(frozen=True)
class Example:
    """A scene, written as a caller would write it, and the line the character answers with."""

    __pydantic_config__ = _STRICT

    scene: Text
    line: Text

    def __post_init__(self) -> None:
        Scene.parse(self.scene)
        if neutralize(self.line) != self.line:
            raise ValueError(f"an example's line holds prompt structure: {self.line!r}")

    def to_input(self) -> str:
        """The example's input section."""
        return Scene.parse(self.scene).to_input()


@dataclass(frozen=True)
class Sampling:
    """How a line is drawn.

    `temperature` 0 takes the likeliest token. `top_p` keeps the smallest set of tokens that holds
    this much probability. `repetition_penalty` divides the logits of tokens already in the line
    (Keskar et al. 2019, CTRL, section 4.1). No run of `no_repeat_tokens` is taken from the
    examples or from what the character said before, or repeated in the line (below 2: no such
    rule). No run of more than `max_copied_chars` characters is taken from a line that the adapter
    was trained on (0: no such rule). Beyond `sentence_tokens` a sentence is pressed to end.
    `max_new_tokens` bounds the work of one line and `max_line_chars` its length, after which it
    ends at its last whole sentence.
    """

    __pydantic_config__ = _STRICT

    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.8
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    repetition_penalty: Annotated[float, Field(ge=1.0, le=2.0)] = 1.1
    no_repeat_tokens: Annotated[int, Field(ge=0, le=32)] = 0
    max_copied_chars: Annotated[int, Field(ge=0, le=MAX_RUN_CHARS)] = 0
    sentence_tokens: Annotated[int, Field(ge=1, le=512)] = 512
    max_new_tokens: Annotated[int, Field(ge=1, le=512)] = 80
    max_line_chars: Annotated[int, Field(ge=10, le=1000)] = 120


@dataclass(frozen=True)
class Persona:
    """One version of a persona; immutable once published.

    `speech_level`, where set, is kept at every sentence end: no other ending may be drawn.
    `instruction` is the character sheet. `examples` go before every scene. `speaker_names` are the
    role prefixes (`부장: …`) a model may put before the line, which are no part of it. `stop` are
    the strings that end a line, besides the model's own end token. Without an `adapter` the base
    model speaks as it is.
    """

    __pydantic_config__ = _STRICT

    persona_id: Identifier
    version: Identifier
    display_name: ShortText
    description: ShortText
    licence: ShortText
    base_model: ShortText
    script: Script
    speech_level: SpeechLevel | None
    instruction: Instruction
    template: Template
    speaker_names: tuple[ShortText, ...]
    stop: tuple[ShortText, ...]
    sampling: Sampling
    examples: tuple[Example, ...] = ()
    adapter: AdapterInfo | None = None

    @property
    def ref(self) -> str:
        """Its name in characters, requests and logs: `persona_id@version`."""
        return f"{self.persona_id}@{self.version}"

    @classmethod
    def from_json(cls, data: str | bytes) -> Persona:
        """Parse the text of a `persona.json`.

        Raises:
            PersonaError: it is no JSON, a field is missing, unknown, or out of bounds.
        """
        try:
            return _PERSONA.validate_json(data)
        except ValidationError as error:
            raise PersonaError(_describe(error)) from None

    @classmethod
    def load(cls, folder: Path) -> Persona:
        """Read the persona published in `folder`, which is named `<persona_id>/<version>`.

        Raises:
            PersonaError: there is none, it is malformed, or it names itself differently.
        """
        path = folder / "persona.json"
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise PersonaError(f"cannot read {path}: {error.strerror}") from error
        if len(data) > MAX_FILE_BYTES:
            raise PersonaError(f"{path} is larger than the {MAX_FILE_BYTES} bytes allowed")
        persona = cls.from_json(data)
        if (folder.parent.name, folder.name) != (persona.persona_id, persona.version):
            raise PersonaError(
                f"{path} calls itself {persona.ref}, its folder says "
                f"{folder.parent.name}@{folder.name}"
            )
        return persona


_PERSONA = TypeAdapter(Persona)


def _describe(error: ValidationError) -> str:
    problems = (
        f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )
    return "persona.json: " + "; ".join(problems)
