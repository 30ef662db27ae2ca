"""PersonaLLM: writes a character's line. A shim around a persona engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.engine.persona.protocol import (
    BaseModelMismatch,
    EmptyLine,
    EngineBusy,
    EngineError,
    LineEvent,
    LineRequest,
    LineTimeout,
    PersonaEngine,
    PromptTooLong,
)
from deployments.engine.persona.transformers_engine import TransformersEngine
from deployments.errors import (
    DeadlineExceeded,
    GenerationFailed,
    InvalidInput,
    NotReady,
    Overloaded,
    SpeechError,
    TextTooLong,
)
from deployments.messages import StageStats
from models.persona.base_model import BASE_MODEL, require_base_model
from models.persona.persona import Persona
from models.persona.scene import SceneError


class PersonaArgs(StrictArgs):
    """Settings of the persona stage."""

    num_threads: int = Field(default=1, ge=1, description="Torch threads of one replica.")
    max_waiting: int = Field(default=16, ge=0, description="Requests that may wait for the model.")


def to_speech_error(error: EngineError | SceneError) -> SpeechError:
    """What a caller is told when the engine refuses or fails."""
    detail = str(error)
    match error:
        case EngineBusy():
            return Overloaded(detail, {"retry_after_s": 2})
        case PromptTooLong():
            return TextTooLong(detail)
        case BaseModelMismatch() | SceneError():
            return InvalidInput(detail)
        case EmptyLine():
            return GenerationFailed(detail)
        case LineTimeout():
            return DeadlineExceeded(detail)
    return NotReady(detail)


class PersonaLLM:
    """One base model, many personas.

    Args:
        num_threads: torch threads.
        max_waiting: requests that may wait for the model before further ones are refused.
        personas: prepared before the replica takes requests, so that none finds a cold model.
    """

    def __init__(self, num_threads: int, max_waiting: int, personas: list[Persona]) -> None:
        self._engine: PersonaEngine = TransformersEngine.from_folder(
            require_base_model(),
            base_model=BASE_MODEL,
            num_threads=num_threads,
            max_waiting=max_waiting,
        )
        self._personas = personas
        self._warming: asyncio.Task[None] | None = None

    async def ready(self) -> bool:
        """Whether the model is loaded and the personas' prompts are prepared."""
        if self._warming is None:
            self._warming = asyncio.create_task(self._warm())
        await asyncio.shield(self._warming)
        return self._engine.health().is_ready

    async def stats(self) -> StageStats:
        """Lines that are being written, and that wait."""
        health = self._engine.health()
        return StageStats(health.num_running, health.num_waiting, queued_audio_s=0.0)

    async def _warm(self) -> None:
        for persona in self._personas:
            await self._engine.warm(persona)

    async def generate(self, request: LineRequest) -> AsyncIterator[LineEvent]:
        """Write one line: text deltas, then how it ended."""
        try:
            async with aclosing(self._engine.generate(request)) as events:
                async for event in events:
                    yield event
        except (EngineError, SceneError) as error:
            raise to_speech_error(error) from error


persona_llm_deployment = serve.deployment(name="PersonaLLM", ray_actor_options={"num_cpus": 0.2})(
    PersonaLLM
)
