"""Lines written by a language model elsewhere, over the protocol that OpenAI's clients speak.

The persona is told in words (character sheet, examples, history) and cleaned as any other line; an
adapter can't travel. The address and its key come from the environment of the service.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from pydantic import SecretStr

from deployments.engine.persona.protocol import (
    EngineBusy,
    EngineHealth,
    EngineLost,
    ExternalRefused,
    LineEvent,
    LineRequest,
    LineTimeout,
)
from deployments.engine.persona.tries import LineTry, written
from models.persona.persona import Persona
from models.persona.scene import Turn

_MAX_HISTORY_CHARS = 8000
_CONNECT_TIMEOUT_S = 5.0
# Said to the model after the character sheet, which is written for models that know the template.
_FORM = "대사 한 줄만 쓴다. 이름표, 따옴표, 괄호, 설명은 쓰지 않는다."


@dataclass(frozen=True)
class ExternalLlm:
    """Where the other model is: an OpenAI-compatible server, its key, and the model's name there.

    Without a `base_url` it is OpenAI's own.
    """

    base_url: str | None
    api_key: SecretStr
    model: str


class OpenAIEngine:
    """A `PersonaEngine` that asks an OpenAI-compatible server.

    Args:
        external: the server. Its key appears in no message and no log.
        max_lines: lines that are asked for at once; one more is refused.
        max_line_s: after this time a line ends as if it were too long.
    """

    def __init__(self, external: ExternalLlm, *, max_lines: int, max_line_s: float) -> None:
        self._model = external.model
        self._max_lines = max_lines
        self._max_line_s = max_line_s
        self._num_lines = 0
        self._is_closed = False
        self._client = openai.AsyncOpenAI(
            base_url=external.base_url,
            api_key=external.api_key.get_secret_value(),
            timeout=openai.Timeout(max_line_s, connect=_CONNECT_TIMEOUT_S),
            max_retries=1,
        )

    async def generate(self, request: LineRequest) -> AsyncGenerator[LineEvent, None]:
        """See `PersonaEngine.generate`."""
        with self._counted(), self._refusals():
            line_events = written(
                request, self._pieces, arrived_s=time.monotonic(), max_line_s=self._max_line_s
            )
            async with aclosing(line_events) as events:
                async for event in events:
                    yield event

    async def warm(self, persona: Persona) -> None:
        """Nothing is kept here."""

    def health(self) -> EngineHealth:
        """See `PersonaEngine.health`; whether the server answers is seen when it is asked."""
        return EngineHealth(not self._is_closed, self._model, self._num_lines, 0)

    async def close(self) -> None:
        """See `PersonaEngine.close`."""
        self._is_closed = True
        await self._client.close()

    async def _pieces(self, line: LineTry) -> AsyncGenerator[str, None]:
        """What the server says; leaving the iterator ends the request."""
        remembered = _remembered(line.request)
        line.num_history_turns = len(remembered)
        # The bound on tokens has several names among servers; the line is bounded by leaving.
        reply = await self._client.chat.completions.create(
            model=self._model,
            messages=list(_messages(line.request, remembered)),
            stream=True,
            temperature=line.sampling.temperature,
            top_p=line.sampling.top_p,
            seed=line.seed,
        )
        async with reply:
            async for chunk in reply:
                yield _text_of(chunk)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._num_lines >= self._max_lines:
            raise EngineBusy(f"{self._max_lines} lines are being asked for already; try later")
        self._num_lines += 1
        try:
            yield
        finally:
            self._num_lines -= 1

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Say in the engine's words what the client raises; a reply's body may repeat the key."""
        try:
            yield
        except openai.APITimeoutError:
            raise LineTimeout("the external language model did not answer in time") from None
        except openai.RateLimitError:
            raise EngineBusy("the external language model has too much to do") from None
        except openai.APIStatusError as error:
            detail = f"the external language model answered with status {error.status_code}"
            kind = EngineLost if error.status_code >= 500 else ExternalRefused
            raise kind(detail) from None
        except openai.APIError as error:
            raise EngineLost(
                f"the external language model can't be reached: {type(error).__name__}"
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            raise EngineLost("the external language model answers with what is no JSON") from None


def _text_of(chunk: object) -> str:
    """What a chunk adds to the line; the client checks no shapes, and servers differ in theirs."""
    match chunk:
        case ChatCompletionChunk(choices=[Choice(delta=ChoiceDelta(content=str(text))), *_]):
            return text
    return ""


def _messages(
    request: LineRequest, remembered: Sequence[Turn]
) -> Iterator[ChatCompletionMessageParam]:
    persona = request.persona
    yield {"role": "system", "content": f"{persona.instruction}\n{_FORM}"}
    for example in persona.examples:
        yield {"role": "user", "content": example.to_input()}
        yield {"role": "assistant", "content": example.line}
    for turn in remembered:
        if turn.role == "user":
            yield {"role": "user", "content": turn.text}
        else:
            yield {"role": "assistant", "content": turn.text}
    yield {"role": "user", "content": request.scene.to_input()}


def _remembered(request: LineRequest) -> list[Turn]:
    """The newest turns that together are no longer than the bound, oldest first."""
    remembered: list[Turn] = []
    num_chars = 0
    for turn in reversed(request.history):
        num_chars += len(turn.text)
        if num_chars > _MAX_HISTORY_CHARS:
            break
        remembered.insert(0, turn)
    return remembered
