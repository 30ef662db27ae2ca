"""What a persona engine takes, yields and raises, whichever library computes the tokens.

EngineError
├── EngineLost         the engine has died or was closed; nothing will be written by it
├── EngineBusy         more requests wait than the engine accepts; try later
├── BaseModelMismatch  the persona was made for another base model, or another revision of it
├── AdapterRefused     the persona's adapter is damaged, doesn't fit, or isn't for this precision
├── PromptTooLong      the scene alone is longer than the model may read
├── ExternalRefused    the external language model's server refused the request
├── EmptyLine          the model wrote nothing that can be spoken, twice
└── LineTimeout        the time for a line passed before its first word
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from deployments.engine.batching.priority import Priority
from models.persona.line import FinishReason, Format
from models.persona.persona import Persona, Sampling
from models.persona.scene import Scene, Turn


class EngineError(Exception):
    """The engine cannot answer a request. One positional argument, so that it can be pickled."""


class EngineLost(EngineError):
    """The engine has died, was closed, or can't be reached."""


class EngineBusy(EngineError):
    """As many requests wait as may wait."""


class BaseModelMismatch(EngineError):
    """The persona was made for another base model, or revision, than the engine serves."""


class AdapterRefused(EngineError):
    """The persona's adapter can't be served by this engine; says why."""


class PromptTooLong(EngineError):
    """The prompt has more tokens than the engine reads, even without history."""


class ExternalRefused(EngineError):
    """The external server does not accept the request: a wrong key, model, or parameter."""


class EmptyLine(EngineError):
    """The model ended without a speakable character, with the given seed and with the next."""


class LineTimeout(EngineError):
    """The time for a line passed before its first word was written."""


Llm = Literal["local", "external"]

NUM_SEEDS = 2**63
"""Seeds are below it, as the public API promises."""


@dataclass(frozen=True)
class LineRequest:
    """One line to write. Holds all that the engine needs to know about the request.

    Args:
        request_id: names the request in logs.
        persona: who speaks; its template, examples and stop strings shape the prompt.
        scene: what the character reacts to, with its stage direction.
        history: earlier turns, oldest first; the engine leaves out the oldest that do not fit.
        seed: 0 to 2**63 - 1; the same request with the same seed gives the same line.
        sampling: replaces the persona's own.
        llm: `external` asks the OpenAI-compatible server that is configured.
        priority: whether somebody listens; changes nothing about the line.
    """

    request_id: str
    persona: Persona
    scene: Scene
    history: tuple[Turn, ...] = ()
    seed: int = 0
    sampling: Sampling | None = None
    llm: Llm = "local"
    priority: Priority = "interactive"


def seeds_of(request: LineRequest) -> tuple[int, int]:
    """The request's own seed and the second try's, which a caller may name as well."""
    return request.seed, (request.seed + 1) % NUM_SEEDS


def empty_line_detail(request: LineRequest) -> str:
    """What is said of a line that was empty twice."""
    return f"{request.persona.ref} said nothing with seed {request.seed} and the next"


@dataclass(frozen=True)
class TextDelta:
    """The next piece of the line; the pieces joined are the line."""

    text: str


@dataclass(frozen=True)
class LineDone:
    """The last event of every line.

    `seed` is the one that wrote the line: the next one after an empty first try. `format` says
    whether the model kept the form of a line, or what had to be done about it.
    `num_cached_tokens` of the `num_prompt_tokens` were not computed for this request. `queued_s`
    passed before the model began to read, `first_text_s` from there to the first delta, `total_s`
    to the end.
    """

    text: str
    finish_reason: FinishReason
    seed: int
    num_prompt_tokens: int
    num_cached_tokens: int
    num_new_tokens: int
    num_history_turns: int
    queued_s: float
    first_text_s: float
    total_s: float
    format: Format = "kept"


@dataclass(frozen=True)
class EngineHealth:
    """`is_ready` when a request would be computed; the counts say how busy the engine is."""

    is_ready: bool
    base_model: str
    num_running: int
    num_waiting: int


LineEvent = TextDelta | LineDone


class PersonaEngine(Protocol):
    """Writes lines for many personas on one base model."""

    def generate(self, request: LineRequest) -> AsyncGenerator[LineEvent, None]:
        """Write a line: `TextDelta`s, then one `LineDone`.

        The request is refused, if it is, before the first event. A consumer that leaves (closes the
        generator, or is cancelled) frees what the request holds within one decoding step; one that
        breaks out of its loop must call `aclose`, so hold the generator in `contextlib.aclosing`.

        Raises:
            EngineError: see the tree above.
            SceneError: there are more history turns than allowed.
        """
        ...

    async def warm(self, persona: Persona) -> None:
        """Prepare what all requests of `persona` share, so that its first one is not slower.

        Raises:
            BaseModelMismatch: the persona was made for another base model.
            AdapterRefused: its adapter can't be served.
        """
        ...

    def health(self) -> EngineHealth:
        """How the engine is now; costs nothing."""
        ...

    async def close(self) -> None:
        """Abort what runs and free the model; no request may follow."""
        ...
