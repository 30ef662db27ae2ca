"""Vocoder: S2 for many requests at once. A shim around its engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal

import torch
from pydantic import Field
from ray import serve
from ray.util.metrics import Histogram

from deployments.args import StrictArgs
from deployments.engine.speech.checkpoint_files import CheckpointFiles
from deployments.engine.speech.protocol import (
    EarlyAudio,
    EarlyRequest,
    Waveform,
    WaveformRequest,
)
from deployments.engine.speech.vocoding import WaveformEngine, WaveformSettings
from deployments.speech_stage import EngineStage, StageMetrics
from models.storage import AwsAccess, embedded_store, open_store

_TOKENS_PER_S = 25


class VocoderArgs(StrictArgs):
    """Settings of the S2 stage."""

    num_threads: int = Field(default=1, ge=1, description="Torch threads of one replica.")
    num_slots: int = Field(
        default=8, ge=1, description="Segments of one checkpoint that are in work together."
    )
    max_batch: int = Field(
        default=1,
        ge=1,
        description="Windows decoded in one call. With 1 the audio does not depend on the load, "
        "and on a CPU more bring no speed; a GPU wants 16.",
    )
    max_waiting: int = Field(default=32, ge=0, description="Segments that may wait for a slot.")
    max_checkpoints: int = Field(default=4, ge=1, description="Checkpoints in memory at most.")
    device: str = Field(default="cpu", description="Torch's name of the device, such as cuda.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Of the generator, which does nearly all the work."
    )


class Vocoder(EngineStage[WaveformEngine]):
    """Streams the waveform of segments, window by window.

    Args:
        storage_root: where checkpoints are published, see `open_store`.
        access: of a storage root that is not a folder.
        checkpoints: loaded before the stage is ready, as many as fit.
        others: see `VocoderArgs`.
    """

    def __init__(
        self,
        storage_root: str,
        access: AwsAccess,
        checkpoints: Sequence[str],
        num_threads: int,
        num_slots: int,
        max_batch: int,
        max_waiting: int,
        max_checkpoints: int,
        device: str,
        dtype: str,
    ) -> None:
        torch.set_num_threads(num_threads)
        metrics = StageMetrics("s2", num_slots)
        batch_size = Histogram(
            "baewoo_s2_batch_size", "Windows decoded in one call.", boundaries=[1, 2, 4, 8, 16, 32]
        )
        engine = WaveformEngine(
            CheckpointFiles([open_store(storage_root, access), embedded_store()], device),
            WaveformSettings(
                num_slots, max_batch, max_waiting, max_checkpoints, getattr(torch, dtype)
            ),
            metrics.set_load,
            batch_size.observe,
        )
        super().__init__("S2", engine, metrics, checkpoints[:max_checkpoints])

    async def synthesize(self, request: WaveformRequest) -> AsyncGenerator[Waveform]:
        """Chunks of (samples,) float32 in [-1, 1] at 32 kHz; the first one is short.

        A caller that leaves drops the windows not yet decoded.

        Raises:
            Overloaded: too many segments wait.
            InvalidInput: ids, speaker or settings out of range.
            DamagedRecord: the checkpoint can't be served.
        """
        with self._counted(len(request.semantic_tokens) / _TOKENS_PER_S):
            async with aclosing(self._engine.synthesize(request)) as waveforms:
                async for waveform in waveforms:
                    yield waveform

    async def synthesize_early(self, request: EarlyRequest) -> EarlyAudio:
        """What the newest tokens of a growing segment sound like; raises as `synthesize` does."""
        with self._counted(request.num_new_tokens / _TOKENS_PER_S):
            return await self._engine.synthesize_early(request)


vocoder_deployment = serve.deployment(
    name="Vocoder",
    max_ongoing_requests=100,
    graceful_shutdown_timeout_s=90,
    ray_actor_options={"num_cpus": 0.1},
)(Vocoder)
