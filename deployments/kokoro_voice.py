"""KokoroVoice: speaks a segment with the small embedded voice. A shim around its engine."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.autoscaling.stage_report import stage_report
from deployments.engine.batching.stepping import Load
from deployments.engine.batching.turn import Turn
from deployments.errors import InvalidInput, Overloaded
from deployments.messages import SegmentRequest, StageStats
from deployments.speech_stage import StageMetrics
from models.assets import KOKORO, require
from models.kokoro.pipeline import KokoroEngine

_AUDIO_S_PER_SYLLABLE = 0.16


class KokoroArgs(StrictArgs):
    """Settings of the Kokoro stage."""

    num_threads: int = Field(default=1, ge=1, description="ONNX Runtime threads of one replica.")
    max_waiting: int = Field(default=32, ge=0, description="Segments that may wait for the model.")


class KokoroVoiceServer:
    """One segment at a time, off the event loop; a call cancelled while it waits is dropped.

    Args:
        num_threads: ONNX Runtime threads.
        max_waiting: segments that may wait for the model before further ones are refused.
    """

    def __init__(self, num_threads: int, max_waiting: int) -> None:
        self._engine = KokoroEngine(require(KOKORO), num_threads=num_threads)
        self._max_waiting = max_waiting
        self._num_segments = 0
        self._queued_audio_s = 0.0
        self._metrics = StageMetrics("kokoro", num_slots=1)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kokoro")
        self._turn = Turn()

    async def ready(self) -> bool:
        """True once the model is loaded, which the constructor waits for."""
        return True

    async def stats(self) -> StageStats:
        """What is in work and what waits."""
        load = self._load()
        return StageStats(load.num_running, load.num_waiting, self._queued_audio_s)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve, for its `StagePolicy`."""
        return stage_report(await self.stats(), num_slots=1)

    def _load(self) -> Load:
        num_running = min(self._num_segments, 1)
        return Load(num_running, self._num_segments - num_running)

    async def synthesize(self, request: SegmentRequest) -> NDArray[np.float32]:
        """The segment's waveform, mono, 24 kHz, float32 in [-1, 1].

        Raises:
            Overloaded: too many segments wait.
            InvalidInput: the segment can't be spoken.
        """
        if self._num_segments > self._max_waiting:
            raise Overloaded(f"{self._max_waiting} segments wait already", {"retry_after_s": 2})
        loop = asyncio.get_running_loop()
        audio_s = _AUDIO_S_PER_SYLLABLE * len(request.segment.pronounced)
        self._enter(1, audio_s)
        try:
            async with self._turn.of(request.priority):
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
        except asyncio.CancelledError:
            self._metrics.count_cancel()
            raise
        finally:
            self._enter(-1, -audio_s)

    def _enter(self, num_segments: int, audio_s: float) -> None:
        self._num_segments += num_segments
        self._queued_audio_s += audio_s
        self._metrics.set_load(self._load())


kokoro_voice_deployment = serve.deployment(name="KokoroVoice", ray_actor_options={"num_cpus": 0.2})(
    KokoroVoiceServer
)
