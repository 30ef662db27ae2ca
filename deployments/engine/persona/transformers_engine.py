"""The persona engine of the plain install: transformers, on the CPU, one line at a time.

Lines are written first come, first served. Every line is short and bounded, so this order gives
the shortest mean wait there is without batching, and a line never depends on what else is asked.
Torch runs in one worker thread; the event loop only hands events around. What all prompts of a
persona start with (character sheet and examples) is read once and kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from deployments.engine.persona.protocol import (
    BaseModelMismatch,
    EmptyLine,
    EngineBusy,
    EngineError,
    EngineHealth,
    LineDone,
    LineEvent,
    LineRequest,
    LineTimeout,
    TextDelta,
)
from deployments.engine.persona.sequence import Sequence
from deployments.engine.persona.writer import LineWriter
from models.persona.persona import Persona

_Result = TypeVar("_Result")

_NUM_TRIES = 2


class TransformersEngine:
    """A `PersonaEngine` on one transformers model.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer.
        base_model: the name personas call the model by.
        num_threads: threads that torch computes with.
        max_waiting: requests that may wait for their turn; one more is refused.
        max_prompt_tokens: bound on character sheet, examples, history and scene together.
        max_history_tokens: bound on the history alone; older turns are left out.
        max_line_s: after this time from the start of reading, a line ends as if it were too long.
        max_prefixes: personas whose prefix is kept in memory (about 8 MB each).
        tokens_per_delta: the event loop hears from the worker after this many tokens.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        base_model: str,
        num_threads: int,
        max_waiting: int = 16,
        max_prompt_tokens: int = 1024,
        max_history_tokens: int = 256,
        max_line_s: float = 30.0,
        max_prefixes: int = 16,
        tokens_per_delta: int = 4,
    ) -> None:
        self._writer = LineWriter(
            model,
            tokenizer,
            max_prompt_tokens=max_prompt_tokens,
            max_history_tokens=max_history_tokens,
            max_line_s=max_line_s,
            max_prefixes=max_prefixes,
        )
        self._base_model = base_model
        self._max_waiting = max_waiting
        self._tokens_per_delta = tokens_per_delta
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._worker = ThreadPoolExecutor(
            max_workers=1,
            thread_name_prefix="persona",
            initializer=torch.set_num_threads,
            initargs=(num_threads,),
        )

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        base_model: str,
        num_threads: int,
        dtype: torch.dtype = torch.bfloat16,
        max_waiting: int = 16,
        max_line_s: float = 30.0,
    ) -> TransformersEngine:
        """Load model and tokenizer from a folder that `ensure_base_model` made."""
        disable_progress_bar()  # a replica's log is no terminal
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(
            model.eval(),
            tokenizer,
            base_model=base_model,
            num_threads=num_threads,
            max_waiting=max_waiting,
            max_line_s=max_line_s,
        )

    async def generate(self, request: LineRequest) -> AsyncGenerator[LineEvent, None]:
        """See `PersonaEngine.generate`."""
        self._check(request.persona)
        if len(self._tasks) > self._max_waiting:
            raise EngineBusy(f"{self._max_waiting} lines already wait to be written; try later")
        events: asyncio.Queue[LineEvent | Exception] = asyncio.Queue()
        # A task of its own, so that a consumer that is slow to take events blocks nobody.
        task = asyncio.create_task(self._serve(request, events), name=request.request_id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Read only if the task ended without a result: the engine was closed.
        closed = EngineError("the persona engine was closed")
        task.add_done_callback(lambda _: events.put_nowait(closed))
        try:
            while True:
                event = await events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, LineDone):
                    return
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def warm(self, persona: Persona) -> None:
        """See `PersonaEngine.warm`."""
        self._check(persona)
        async with self._turn:
            await self._in_worker(partial(self._writer.warm, persona))

    def health(self) -> EngineHealth:
        """See `PersonaEngine.health`."""
        return EngineHealth(
            is_ready=not self._is_closed,
            base_model=self._base_model,
            num_running=min(len(self._tasks), 1),
            num_waiting=max(len(self._tasks) - 1, 0),
        )

    async def close(self) -> None:
        """See `PersonaEngine.close`."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        # Ends after the step that is being computed.
        await asyncio.to_thread(self._worker.shutdown)

    def _check(self, persona: Persona) -> None:
        if self._is_closed:
            raise EngineError("the persona engine is closed")
        if persona.base_model != self._base_model:
            raise BaseModelMismatch(
                f"persona {persona.ref} was made for {persona.base_model}; "
                f"this engine serves {self._base_model}"
            )

    async def _serve(
        self, request: LineRequest, events: asyncio.Queue[LineEvent | Exception]
    ) -> None:
        """Wait for the turn, write the line, and put what happens into `events`."""
        arrived_s = time.monotonic()
        try:
            async with self._turn:
                await self._write(request, events, arrived_s)
        except Exception as error:
            events.put_nowait(error)

    async def _write(
        self,
        request: LineRequest,
        events: asyncio.Queue[LineEvent | Exception],
        arrived_s: float,
    ) -> None:
        started_s = time.monotonic()
        for seed in range(request.seed, request.seed + _NUM_TRIES):
            sequence = await self._in_worker(partial(self._writer.start, request, seed))
            first_text_s = 0.0
            async for text in self._advance(sequence):
                first_text_s = first_text_s or time.monotonic() - started_s
                events.put_nowait(TextDelta(text))
            if not sequence.cleaner.is_empty:
                break
            if sequence.cleaner.finish_reason == "time":
                raise LineTimeout(f"no word within {time.monotonic() - started_s:.0f} s")
        else:
            raise EmptyLine(
                f"{request.persona.ref} said nothing with seed {request.seed} and the next"
            )
        events.put_nowait(
            LineDone(
                text=sequence.cleaner.text,
                finish_reason=sequence.cleaner.finish_reason or "stop",
                seed=seed,
                num_prompt_tokens=sequence.num_prompt_tokens,
                num_cached_tokens=sequence.num_cached_tokens,
                num_new_tokens=sequence.num_new_tokens,
                num_history_turns=sequence.num_history_turns,
                queued_s=started_s - arrived_s,
                first_text_s=first_text_s,
                total_s=time.monotonic() - started_s,
            )
        )

    async def _advance(self, sequence: Sequence) -> AsyncGenerator[str, None]:
        """Texts of `sequence` until it is over: the first as soon as there is one, then groups."""
        num_tokens = 1
        try:
            while not sequence.is_over:
                if text := await self._in_worker(partial(sequence.advance, num_tokens)):
                    num_tokens = self._tokens_per_delta
                    yield text
        finally:
            sequence.abort()

    async def _in_worker(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)
