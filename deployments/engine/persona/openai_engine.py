"""Lines written by a language model elsewhere, over the protocol that OpenAI's clients speak.

The persona is told in words (character sheet, examples, history) and cleaned as any other line; an
adapter can't travel. The address and its key come from the environment of the service.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Literal

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import SecretStr

from deployments.engine.persona.protocol import (
    EmptyLine,
    EngineBusy,
    EngineHealth,
    EngineLost,
    ExternalRefused,
    LineDone,
    LineEvent,
    LineRequest,
    LineTimeout,
    TextDelta,
    empty_line_detail,
)
from models.persona.line import Format, LineCleaner
from models.persona.persona import Persona
from models.persona.scene import Turn

_NUM_TRIES = 2
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
        arrived_s = time.monotonic()
        with self._counted(), self._refusals():
            for seed in range(request.seed, request.seed + _NUM_TRIES):
                line = _Line(request, seed, arrived_s)
                async with aclosing(self._write(line)) as texts:
                    async for text in texts:
                        yield TextDelta(text)
                if not line.cleaner.is_empty:
                    yield line.done()
                    return
                if line.cleaner.finish_reason == "time":
                    raise LineTimeout(f"no word within {self._max_line_s:.0f} s")
            raise EmptyLine(empty_line_detail(request))

    async def warm(self, persona: Persona) -> None:
        """Nothing is kept here."""

    def health(self) -> EngineHealth:
        """See `PersonaEngine.health`; whether the server answers is seen when it is asked."""
        return EngineHealth(not self._is_closed, self._model, self._num_lines, 0)

    async def close(self) -> None:
        """See `PersonaEngine.close`."""
        self._is_closed = True
        await self._client.close()

    async def _write(self, line: _Line) -> AsyncGenerator[str, None]:
        """Texts of a line as they become certain; leaving the iterator ends the request."""
        sampling = line.request.sampling or line.request.persona.sampling
        # The bound on tokens has several names among servers; the line is bounded by leaving.
        # The client's own limit begins anew with its second try, and leaves out the wait before it.
        async with asyncio.timeout(self._max_line_s):
            reply = await self._client.chat.completions.create(
                model=self._model,
                messages=list(_messages(line.request)),
                stream=True,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=line.seed,
            )
        async with reply:
            async for piece in self._in_time(aiter(reply), line.started_s):
                if text := line.take(piece):
                    yield text
                if line.cleaner.finish_reason is not None:
                    return
            if text := line.end("stop"):
                yield text

    async def _in_time(
        self, chunks: AsyncIterator[ChatCompletionChunk], started_s: float
    ) -> AsyncGenerator[str | None, None]:
        """The texts of the chunks; None once the time for the line is over."""
        while True:
            left_s = started_s + self._max_line_s - time.monotonic()
            try:
                async with asyncio.timeout(left_s):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                yield None
                return
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""

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
        except (openai.APITimeoutError, TimeoutError):
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
        except json.JSONDecodeError:
            raise EngineLost("the external language model answers with what is no JSON") from None


class _Line:
    """One try at a line."""

    def __init__(self, request: LineRequest, seed: int, arrived_s: float) -> None:
        sampling = request.sampling or request.persona.sampling
        self.request = request
        self.seed = seed
        self.started_s = time.monotonic()
        self._arrived_s = arrived_s
        self._first_text_s = 0.0
        self.cleaner = LineCleaner(
            stop=request.persona.stop,
            speaker_names=request.persona.speaker_names,
            max_chars=sampling.max_line_chars,
        )

    def take(self, piece: str | None) -> str:
        """Add a piece, or None for the end of the time; the text that became certain by it."""
        if piece is None:
            return self.end("time")
        text = self.cleaner.feed(piece)
        if self.cleaner.finish_reason is not None:
            text += self.cleaner.finish()
        return self._noted(text)

    def end(self, reason: Literal["stop", "time"]) -> str:
        """The rest of the line."""
        return self._noted(self.cleaner.finish(reason))

    def _noted(self, text: str) -> str:
        if text:
            self._first_text_s = self._first_text_s or time.monotonic() - self.started_s
        return text

    def done(self) -> LineDone:
        """How the line ended; tokens are counted elsewhere, and are 0 here."""
        is_second = self.seed != self.request.seed
        repaired: Format = "repaired" if self.cleaner.is_repaired else "kept"
        return LineDone(
            text=self.cleaner.text,
            finish_reason=self.cleaner.finish_reason or "stop",
            format="asked_again" if is_second else repaired,
            seed=self.seed,
            num_prompt_tokens=0,
            num_cached_tokens=0,
            num_new_tokens=0,
            num_history_turns=len(_remembered(self.request)),
            queued_s=self.started_s - self._arrived_s,
            first_text_s=self._first_text_s,
            total_s=time.monotonic() - self.started_s,
        )


def _messages(request: LineRequest) -> Iterator[ChatCompletionMessageParam]:
    persona = request.persona
    yield {"role": "system", "content": f"{persona.instruction}\n{_FORM}"}
    for example in persona.examples:
        yield {"role": "user", "content": example.to_input()}
        yield {"role": "assistant", "content": example.line}
    for turn in _remembered(request):
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
