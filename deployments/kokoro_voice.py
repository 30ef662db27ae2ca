"""KokoroVoice: speaks a segment with the small embedded voice. A shim around its engine."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.errors import InvalidInput
from deployments.messages import SegmentRequest
from models.assets import KOKORO, require
from models.kokoro.pipeline import KokoroEngine


class KokoroArgs(StrictArgs):
    """Settings of the Kokoro stage."""

    num_threads: int = Field(default=1, ge=1, description="ONNX Runtime threads of one replica.")


class KokoroVoiceServer:
    """One segment at a time, off the event loop; a call cancelled while it waits is dropped.

    Args:
        num_threads: ONNX Runtime threads.
    """

    def __init__(self, num_threads: int) -> None:
        self._engine = KokoroEngine(require(KOKORO), num_threads=num_threads)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kokoro")

    async def ready(self) -> bool:
        """True once the model is loaded, which the constructor waits for."""
        return True

    async def synthesize(self, request: SegmentRequest) -> NDArray[np.float32]:
        """The segment's waveform, mono, 24 kHz, float32 in [-1, 1]."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._worker,
                self._engine.synthesize_segment,
                request.segment.pronounced,
                request.voice,
                request.emotion,
                request.speed,
            )
        except ValueError as error:
            raise InvalidInput(str(error)) from error


kokoro_voice_deployment = serve.deployment(name="KokoroVoice", ray_actor_options={"num_cpus": 0.2})(
    KokoroVoiceServer
)
