"""Lines of engines that answer with text: two tries at most, each in the time a line may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from deployments.engine.persona.protocol import (
    EmptyLine,
    LineDone,
    LineEvent,
    LineRequest,
    LineTimeout,
    TextDelta,
    empty_line_detail,
    seeds_of,
)
from models.persona.line import FinishReason, Format, LineCleaner


class LineTry:
    """One try at a line. Who writes it counts tokens and turns here, as far as they are known.

    Args:
        request: what is to be written.
        seed: of this try.
        arrived_s, started_s: readings of `time.monotonic`: when the request came, and when the
            first try began.
    """

    def __init__(
        self, request: LineRequest, seed: int, *, arrived_s: float, started_s: float
    ) -> None:
        self.request = request
        self.seed = seed
        self.sampling = request.sampling or request.persona.sampling
        self.num_prompt_tokens = 0
        self.num_cached_tokens = 0
        self.num_new_tokens = 0
        self.num_history_turns = 0
        self.last_reason: FinishReason = "stop"
        """Why the pieces end when they do."""
        self._arrived_s = arrived_s
        self._started_s = started_s
        self._first_text_s = 0.0
        self.cleaner = LineCleaner(
            stop=request.persona.stop,
            speaker_names=request.persona.speaker_names,
            max_chars=self.sampling.max_line_chars,
        )

    @property
    def is_over(self) -> bool:
        """Whether the line has ended, even if more pieces come."""
        return self.cleaner.finish_reason is not None

    def take(self, piece: str) -> str:
        """Add a piece; the text that became certain by it."""
        text = self.cleaner.feed(piece)
        return self.end() if self.is_over else self._noted(text)

    def end(self, reason: FinishReason | None = None) -> str:
        """The rest of the line, which ended for `reason` unless it was over before."""
        return self._noted(self.cleaner.finish(reason or self.last_reason))

    def _noted(self, text: str) -> str:
        if text:
            self._first_text_s = self._first_text_s or time.monotonic() - self._started_s
        return text

    def done(self) -> LineDone:
        """How the line ended."""
        repaired: Format = "repaired" if self.cleaner.is_repaired else "kept"
        return LineDone(
            text=self.cleaner.text,
            finish_reason=self.cleaner.finish_reason or "stop",
            format="asked_again" if self.seed != self.request.seed else repaired,
            seed=self.seed,
            num_prompt_tokens=self.num_prompt_tokens,
            num_cached_tokens=self.num_cached_tokens,
            num_new_tokens=self.num_new_tokens,
            num_history_turns=self.num_history_turns,
            queued_s=self._started_s - self._arrived_s,
            first_text_s=self._first_text_s,
            total_s=time.monotonic() - self._started_s,
        )


PiecesOf = Callable[[LineTry], AsyncGenerator[str, None]]
"""Has a line written: pieces of what the model says; closing the generator ends the work."""


async def written(
    request: LineRequest, pieces_of: PiecesOf, *, arrived_s: float, max_line_s: float
) -> AsyncGenerator[LineEvent, None]:
    """The events of a line, which is drawn once more if nothing of it can be spoken.

    Args:
        arrived_s: reading of `time.monotonic` when the request came. Its time begins now.
        max_line_s: after this time a try ends as if its line were too long.

    Raises:
        LineTimeout: there was no word within `max_line_s`.
        EmptyLine: neither try brought a word.
    """
    started_s = time.monotonic()
    for seed in seeds_of(request):
        line = LineTry(request, seed, arrived_s=arrived_s, started_s=started_s)
        async with aclosing(_texts(line, pieces_of(line), max_line_s)) as texts:
            async for text in texts:
                if text:
                    yield TextDelta(text)
        if not line.cleaner.is_empty:
            yield line.done()
            return
        if line.cleaner.finish_reason == "time":
            raise LineTimeout(f"no word within {max_line_s:.0f} s")
    raise EmptyLine(empty_line_detail(request))


async def _texts(
    line: LineTry, pieces: AsyncGenerator[str, None], max_line_s: float
) -> AsyncGenerator[str, None]:
    """Texts of a line as they become certain, also where the model falls silent."""
    deadline_s = asyncio.get_running_loop().time() + max_line_s
    async with aclosing(pieces):
        while not line.is_over:
            try:
                async with asyncio.timeout_at(deadline_s):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                yield line.end()
            except TimeoutError:
                yield line.end("time")
            else:
                yield line.take(piece)
