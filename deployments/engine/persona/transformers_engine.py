"""The persona engine of the plain install: transformers, many lines and adapters in one batch.

Lines join and leave the batch at every token. Attention, adapters and drawing are computed row by
row, and every step has the same number of rows, so that a line never depends on what else is
asked. What all prompts of a persona start with is read once for each adapter and kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from deployments.engine.batching.engine import BatchingEngine, QueueFull
from deployments.engine.batching.stepping import EngineStopped, SteppingEngine
from deployments.engine.persona.adapter_check import require_servable
from deployments.engine.persona.batch import LineBatch, LineJob, WarmJob, Written
from deployments.engine.persona.lora import BoundAdapter
from deployments.engine.persona.prompt_ids import PromptEncoder
from deployments.engine.persona.protocol import (
    AdapterRefused,
    EngineBusy,
    EngineError,
    EngineHealth,
    EngineLost,
    LineEvent,
    LineRequest,
    TextDelta,
)
from deployments.engine.persona.runner import Runner
from deployments.engine.persona.writer import LineWriter
from deployments.engine.speech.checkpoint_cache import CheckpointCache
from models.persona.adapter_files import AdapterError, AdapterFiles
from models.persona.persona import Persona

_GROUP = "base"


class TransformersEngine:
    """A `PersonaEngine` on one transformers model.

    Args:
        model: a causal language model in evaluation mode; belongs to the engine from now on.
        tokenizer: its tokenizer.
        base_model, base_revision: what personas and their adapters call the model.
        num_threads: threads that torch computes with, in the whole process.
        adapters: where personas' adapters are read.
        num_slots: lines that are written together.
        max_waiting: requests that may wait for a slot; one more is refused.
        max_adapters: adapters in memory at most (about 8 MB each).
        max_prompt_tokens: bound on character sheet, examples, history and scene together.
        max_history_tokens: bound on the history alone; older turns are left out.
        max_line_s: after this time from the start of reading, a line ends as if it were too long.
        max_prefixes: personas whose prefix is kept in memory (about 8 MB each).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        base_model: str,
        base_revision: str,
        num_threads: int,
        adapters: AdapterFiles,
        num_slots: int = 4,
        max_waiting: int = 16,
        max_adapters: int = 16,
        max_prompt_tokens: int = 1024,
        max_history_tokens: int = 256,
        max_line_s: float = 30.0,
        max_prefixes: int = 16,
    ) -> None:
        torch.set_num_threads(num_threads)
        self._base_model = base_model
        self._base_revision = base_revision
        self._precision = str(model.dtype).removeprefix("torch.")
        self._max_waiting = max_waiting
        self._files = adapters
        self._adapters = CheckpointCache(
            self._load_adapter, lambda ref: None, max_adapters, max_waiting
        )
        runner = Runner(model, num_slots)
        self._layers = runner.layers
        prompts = PromptEncoder(
            tokenizer, max_prompt_tokens=max_prompt_tokens, max_history_tokens=max_history_tokens
        )
        writer = LineWriter(
            runner, tokenizer, prompts, max_line_s=max_line_s, max_prefixes=max_prefixes
        )
        engine: BatchingEngine[LineJob | WarmJob, Written] = BatchingEngine(max_waiting)
        engine.add_group(_GROUP, LineBatch(runner, writer), num_slots)
        self._stepping = SteppingEngine("persona", engine)

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        base_model: str,
        base_revision: str,
        num_threads: int,
        adapters: AdapterFiles,
        dtype: torch.dtype = torch.bfloat16,
        num_slots: int = 4,
        max_waiting: int = 16,
        max_adapters: int = 16,
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
            base_revision=base_revision,
            num_threads=num_threads,
            adapters=adapters,
            num_slots=num_slots,
            max_waiting=max_waiting,
            max_adapters=max_adapters,
            max_line_s=max_line_s,
        )

    async def generate(self, request: LineRequest) -> AsyncGenerator[LineEvent, None]:
        """See `PersonaEngine.generate`."""
        arrived_s = time.monotonic()
        with self._refusals():
            async with self._lent_adapter(request.persona) as adapter:
                job = LineJob(request, adapter, arrived_s)
                stream = self._stepping.stream(_GROUP, job, priority=request.priority)
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        for written in chunk.tokens:
                            if written.text:
                                yield TextDelta(written.text)
                            if isinstance(written.end, EngineError):
                                raise written.end
                            if written.end is not None:
                                yield written.end

    async def warm(self, persona: Persona) -> None:
        """See `PersonaEngine.warm`."""
        with self._refusals():
            async with self._lent_adapter(persona) as adapter:
                job = WarmJob(persona, adapter)
                async with aclosing(self._stepping.stream(_GROUP, job)) as chunks:
                    async for _ in chunks:
                        pass

    def health(self) -> EngineHealth:
        """See `PersonaEngine.health`."""
        load = self._stepping.load
        return EngineHealth(
            is_ready=self._stepping.is_alive,
            base_model=self._base_model,
            num_running=load.num_running,
            num_waiting=load.num_waiting,
        )

    async def close(self) -> None:
        """See `PersonaEngine.close`."""
        await asyncio.to_thread(self._stepping.stop)

    @asynccontextmanager
    async def _lent_adapter(self, persona: Persona) -> AsyncIterator[BoundAdapter | None]:
        """The persona's adapter, in memory until the block ends; None if it has none."""
        require_servable(
            persona,
            base_model=self._base_model,
            base_revision=self._base_revision,
            precision=self._precision,
        )
        if persona.adapter is None:
            yield None
            return
        async with self._adapters.lease(persona.ref) as adapter:
            yield adapter

    async def _load_adapter(self, ref: str) -> BoundAdapter:
        return await asyncio.to_thread(lambda: self._layers.bind(self._files.load(ref)))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Say in the engine's words what its parts raise."""
        try:
            yield
        except QueueFull as error:
            raise EngineBusy(
                f"{self._max_waiting} lines already wait to be written; try later"
            ) from error
        except EngineStopped as error:
            raise EngineLost("the persona engine is closed") from error
        except AdapterError as error:
            raise AdapterRefused(str(error)) from error
