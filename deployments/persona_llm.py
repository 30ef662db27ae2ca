"""PersonaLLM: writes a character's line. A shim around a persona engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from pathlib import Path

from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.autoscaling.stage_report import stage_report
from deployments.engine.persona.openai_engine import ExternalLlm, OpenAIEngine
from deployments.engine.persona.opening import (
    EngineName,
    EnginePrecision,
    EngineSettings,
    open_engine,
)
from deployments.engine.persona.protocol import (
    AdapterRefused,
    BaseModelMismatch,
    EmptyLine,
    EngineBusy,
    EngineError,
    EngineLost,
    ExternalRefused,
    LineEvent,
    LineRequest,
    LineTimeout,
    PersonaEngine,
    PromptTooLong,
)
from deployments.errors import (
    DamagedRecord,
    DeadlineExceeded,
    ExternalModelRefused,
    GenerationFailed,
    InvalidInput,
    NotReady,
    Overloaded,
    SpeechError,
    TextTooLong,
)
from deployments.messages import StageStats
from models.persona.adapter_files import AdapterFiles
from models.persona.base_model import BASE_MODEL, BASE_REVISION, require_base_model
from models.persona.persona import Persona
from models.persona.scene import SceneError
from models.storage import AwsAccess, StorageUnavailable, embedded_store, open_store

logger = logging.getLogger("ray.serve")


class PersonaArgs(StrictArgs):
    """Settings of the persona stage."""

    engine: EngineName = Field(
        default="auto", description="auto takes vLLM where it is installed, else transformers."
    )
    base_model: str = Field(default=BASE_MODEL, description="What personas call the model.")
    base_folder: str | None = Field(
        default=None, description="Absolute folder of the model; the embedded one if absent."
    )
    base_revision: str = Field(
        default=BASE_REVISION, description="What adapters call its weights; others are refused."
    )
    precision: EnginePrecision = "bfloat16"
    num_threads: int = Field(default=1, ge=1, description="Torch threads of one replica.")
    num_slots: int = Field(default=4, ge=1, description="Lines that are written together.")
    max_waiting: int = Field(default=16, ge=0, description="Requests that may wait for the model.")
    max_adapters: int = Field(default=8, ge=1, description="Adapters in memory at most.")
    max_lora_rank: int = Field(
        default=16, ge=1, le=256, description="vLLM refuses adapters of a higher rank."
    )
    kv_cache_mib: int | None = Field(
        default=None,
        ge=16,
        description="vLLM's memory for what was read; its own choice if absent.",
    )
    external_timeout_s: float = Field(
        default=30.0, gt=0, le=300, description="Longest wait for a line of the external model."
    )
    external_fallback: bool = Field(
        default=False,
        description="The external model answers when the local one is lost; it bills you.",
    )


def to_speech_error(error: EngineError | SceneError | StorageUnavailable) -> SpeechError:
    """What a caller is told when the engine refuses or fails."""
    detail = str(error)
    match error:
        case EngineBusy():
            return Overloaded(detail, {"retry_after_s": 2})
        case PromptTooLong():
            return TextTooLong(detail)
        case BaseModelMismatch() | SceneError():
            return InvalidInput(detail)
        case AdapterRefused():
            return DamagedRecord(detail)
        case EmptyLine():
            return GenerationFailed(detail)
        case LineTimeout():
            return DeadlineExceeded(detail)
        case ExternalRefused():
            return ExternalModelRefused(detail)
    return NotReady(detail, {"retry_after_s": 5})


class PersonaLLM:
    """One base model, many personas; and, where one is configured, a model elsewhere.

    Args:
        storage_root: where adapters are published, see `open_store`.
        access: of a storage root that is not a folder.
        personas: prepared before the replica takes requests, so that none finds a cold model.
        external: the other model, for requests that ask for it.
        settings: the rest of `PersonaArgs`, as keyword arguments.
    """

    def __init__(
        self,
        *,
        storage_root: str,
        access: AwsAccess,
        personas: list[Persona],
        external: ExternalLlm | None,
        engine: EngineName,
        base_model: str,
        base_folder: str | None,
        base_revision: str,
        precision: EnginePrecision,
        num_threads: int,
        num_slots: int,
        max_waiting: int,
        max_adapters: int,
        max_lora_rank: int,
        kv_cache_mib: int | None,
        external_timeout_s: float,
        external_fallback: bool,
    ) -> None:
        self._unprepared = personas[:max_adapters]
        self._num_slots = num_slots
        self._warming: asyncio.Task[None] | None = None
        self._is_warm = False
        self._external: PersonaEngine | None = None
        if external is not None:
            self._external = OpenAIEngine(
                external, max_lines=num_slots + max_waiting, max_line_s=external_timeout_s
            )
        self._fallback = self._external if external_fallback else None
        self._engine = open_engine(
            EngineSettings(
                engine=engine,
                folder=require_base_model() if base_folder is None else Path(base_folder),
                base_model=base_model,
                base_revision=base_revision,
                precision=precision,
                num_threads=num_threads,
                num_slots=num_slots,
                max_waiting=max_waiting,
                max_adapters=max_adapters,
                max_lora_rank=max_lora_rank,
                kv_cache_mib=kv_cache_mib,
            ),
            AdapterFiles([open_store(storage_root, access), embedded_store()]),
        )
        self._is_open = True

    async def ready(self) -> bool:
        """Whether the model is loaded and the personas' prompts are prepared."""
        if self._warming is None or (self._warming.done() and self._unprepared):
            self._warming = asyncio.create_task(self._warm())
        if not self._is_warm:
            await asyncio.shield(self._warming)
        return self._engine.health().is_ready or self._fallback is not None

    async def stats(self) -> StageStats:
        """Lines that are being written, and that wait."""
        health = self._engine.health()
        return StageStats(health.num_running, health.num_waiting, queued_audio_s=0.0)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve, for its `StagePolicy`."""
        return stage_report(await self.stats(), self._num_slots)

    def check_health(self) -> None:
        """Called by Serve; raising replaces the replica."""
        if not self._engine.health().is_ready:
            raise NotReady("the persona's engine has ended")

    async def generate(self, request: LineRequest) -> AsyncGenerator[LineEvent]:
        """Write one line: text deltas, then how it ended.

        Raises:
            SpeechError: see `to_speech_error`.
        """
        try:
            async with aclosing(self._written(request)) as events:
                async for event in events:
                    yield event
        except (EngineError, SceneError, StorageUnavailable) as error:
            raise to_speech_error(error) from error

    async def _written(self, request: LineRequest) -> AsyncGenerator[LineEvent]:
        """The line of the model that was asked for, or, where that is lost, of the fallback."""
        has_begun = False
        try:
            async with aclosing(self._engine_of(request).generate(request)) as events:
                async for event in events:
                    has_begun = True
                    yield event
            return
        except EngineLost as error:
            if has_begun or self._fallback is None or request.llm == "external":
                raise
            logger.warning("%s: the external language model answers: %s", request.request_id, error)
        async with aclosing(self._fallback.generate(request)) as events:
            async for event in events:
                yield event

    def _engine_of(self, request: LineRequest) -> PersonaEngine:
        if request.llm == "local":
            return self._engine
        if self._external is None:
            raise InvalidInput("no external language model is configured; OPENAI_MODEL names one")
        return self._external

    async def _warm(self) -> None:
        """Prepare the personas; those that storage or a full engine keep back are tried again."""
        for persona in list(self._unprepared):
            try:
                await self._engine.warm(persona)
            except (StorageUnavailable, EngineBusy) as error:
                logger.warning("not prepared yet: %s: %s", persona.ref, error)
                continue
            # Its own requests will say so; those of the others find them prepared.
            except EngineError as error:
                logger.error("not prepared: %s: %s", persona.ref, error)
            self._unprepared.remove(persona)
        self._is_warm = True

    def __del__(self) -> Awaitable[None] | None:
        """Serve awaits it when it stops a replica, so that vLLM's process ends with it.

        Python calls it once more, perhaps on a replica whose constructor has failed.
        """
        if not getattr(self, "_is_open", False):
            return None
        self._is_open = False
        return self._close()

    async def _close(self) -> None:
        await self._engine.close()
        if self._external is not None:
            await self._external.close()


persona_llm_deployment = serve.deployment(name="PersonaLLM", ray_actor_options={"num_cpus": 0.2})(
    PersonaLLM
)
