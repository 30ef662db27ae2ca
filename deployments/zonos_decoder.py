"""ZonosDecoder: stage 2 of Zonos for many requests at once. A shim around its engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.engine.speech.zonos_decoding import CodecEngine, DecodingSettings
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.engine.speech.zonos_protocol import CodeWindow, Waveform
from deployments.speech_stage import EngineStage, StageMetrics
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


class ZonosDecoder(EngineStage[CodecEngine]):
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
        metrics = StageMetrics("zonos_decoder", max_batch)
        engine = CodecEngine(
            ZonosFiles([open_store(storage_root, access), embedded_store()], device),
            DecodingSettings(max_batch, max_waiting, max_checkpoints, getattr(torch, dtype)),
            metrics.set_load,
        )
        super().__init__("Zonos' decoder", engine, metrics, checkpoints[:max_checkpoints])

    async def decode(self, window: CodeWindow) -> Waveform:
        """(samples,) float32, nominally in [-1, 1] at 44.1 kHz, of the frames to be heard.

        Raises:
            Overloaded: too many windows wait.
            InvalidInput: codes or places out of range.
            DamagedRecord: the checkpoint can't be served.
        """
        with self._counted((window.stop - window.start) / FRAME_RATE_HZ):
            return await self._engine.decode(window)


zonos_decoder_deployment = serve.deployment(
    name="ZonosDecoder",
    max_ongoing_requests=100,
    graceful_shutdown_timeout_s=30,
    ray_actor_options={"num_cpus": 0.05},
)(ZonosDecoder)
