"""ZonosDecoder: stage 2 of Zonos for many requests at once. A shim around its engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.autoscaling.stage_report import stage_report
from deployments.engine.speech.zonos_decoding import CodecEngine, DecodingSettings
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.engine.speech.zonos_protocol import CodeWindow, Waveform
from deployments.errors import NotReady
from deployments.messages import StageStats
from deployments.speech_stage import Preloading, StageMetrics, speech_errors
from models.storage import AwsAccess, embedded_store, open_store
from models.zonos.codes import FRAME_RATE_HZ


class ZonosDecoderArgs(StrictArgs):
    """Settings of Zonos' second stage."""

    num_threads: int = Field(default=1, ge=1, description="Torch threads of one replica.")
    max_batch: int = Field(
        default=1,
        ge=1,
        description="Windows decoded in one call. With 1 the audio does not depend on the load, "
        "and on a CPU more bring no speed; a GPU wants 8.",
    )
    max_waiting: int = Field(default=32, ge=0, description="Windows that may wait.")
    max_checkpoints: int = Field(default=2, ge=1, description="Codecs in memory at most.")
    device: str = Field(default="cpu", description="Torch's name of the device, such as cuda.")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"


class ZonosDecoder:
    """Turns windows of codes into sound. It remembers nothing between two of them.

    Args:
        storage_root: where checkpoints are published, see `open_store`.
        access: of a storage root that is not a folder.
        checkpoints: loaded before the stage is ready, as many as fit.
        others: see `ZonosDecoderArgs`.
    """

    def __init__(
        self,
        storage_root: str,
        access: AwsAccess,
        checkpoints: Sequence[str],
        num_threads: int,
        max_batch: int,
        max_waiting: int,
        max_checkpoints: int,
        device: str,
        dtype: str,
    ) -> None:
        torch.set_num_threads(num_threads)
        self._num_slots = max_batch
        self._metrics = StageMetrics("zonos_decoder", max_batch)
        self._engine = CodecEngine(
            ZonosFiles([open_store(storage_root, access), embedded_store()], device),
            DecodingSettings(max_batch, max_waiting, max_checkpoints, getattr(torch, dtype)),
            self._metrics.set_load,
        )
        self._preloading = Preloading(self._engine.preload, checkpoints[:max_checkpoints])
        self._queued_audio_s = 0.0

    async def ready(self) -> bool:
        """Whether the checkpoints that requests will name first are loaded."""
        await self._preloading.finish()
        return self._engine.is_alive

    async def stats(self) -> StageStats:
        """What is in work, as of the latest step."""
        load = self._engine.load
        return StageStats(load.num_running, load.num_waiting, self._queued_audio_s)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve, for its `StagePolicy`."""
        return stage_report(await self.stats(), self._num_slots)

    def check_health(self) -> None:
        """Called by Serve; raising replaces the replica."""
        if not self._engine.is_alive:
            raise NotReady("the thread that steps Zonos' decoder has ended")

    async def decode(self, window: CodeWindow) -> Waveform:
        """(samples,) float32, nominally in [-1, 1] at 44.1 kHz, of the frames to be heard.

        Raises:
            Overloaded: too many windows wait.
            InvalidInput: codes or places out of range.
            DamagedRecord: the checkpoint can't be served.
        """
        audio_s = (window.stop - window.start) / FRAME_RATE_HZ
        self._queued_audio_s += audio_s
        try:
            with speech_errors():
                return await self._engine.decode(window)
        except asyncio.CancelledError:
            self._metrics.count_cancel()
            raise
        finally:
            self._queued_audio_s -= audio_s


zonos_decoder_deployment = serve.deployment(
    name="ZonosDecoder",
    max_ongoing_requests=100,
    graceful_shutdown_timeout_s=30,
    ray_actor_options={"num_cpus": 0.05},
)(ZonosDecoder)
