"""ZonosBackbone: Zonos' first stage for many requests at once. A shim around its engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal

import torch
from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.engine.speech.zonos_codes import CodeEngine, CodeSettings
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.engine.speech.zonos_protocol import CodeRequest, FrameChunk
from deployments.speech_stage import EngineStage, StageMetrics
from models.storage import AwsAccess, embedded_store, open_store

_AUDIO_S_PER_SYMBOL = 0.07


class ZonosBackboneArgs(StrictArgs):
    """Settings of Zonos' first stage."""

    num_threads: int = Field(default=1, ge=1, description="Torch threads of one replica.")
    num_slots: int = Field(
        default=8,
        ge=1,
        description="Sequences of one checkpoint that decode together, of two rows each.",
    )
    capacity: int = Field(
        default=3072,
        ge=256,
        le=16_384,
        description="Cache positions of a sequence: text, prompt, new frames.",
    )
    max_waiting: int = Field(default=32, ge=0, description="Segments that may wait for a slot.")
    max_checkpoints: int = Field(default=1, ge=1, description="Checkpoints in memory at most.")
    device: str = Field(default="cpu", description="Torch's name of the device, such as cuda.")
    dtype: Literal["float32", "bfloat16"] = Field(
        default="bfloat16",
        description="The published weights were made for bfloat16; float32 is exact on CPUs.",
    )
    frames_per_chunk: int = Field(
        default=20, ge=1, description="Frames of one message, 86 a second; each costs about a ms."
    )
    deterministic: bool = Field(
        default=False,
        description="Codes independent of the load on every device; in float32 on CPUs they "
        "always are.",
    )


class ZonosBackbone(EngineStage[CodeEngine]):
    """Streams the frames of segments, batched continuously.

    Args:
        storage_root: where checkpoints are published, see `open_store`.
        access: of a storage root that is not a folder.
        checkpoints: loaded before the stage is ready, as many as fit.
        others: see `ZonosBackboneArgs`.
    """

    def __init__(
        self,
        storage_root: str,
        access: AwsAccess,
        checkpoints: Sequence[str],
        num_threads: int,
        num_slots: int,
        capacity: int,
        max_waiting: int,
        max_checkpoints: int,
        device: str,
        dtype: str,
        frames_per_chunk: int,
        deterministic: bool,
    ) -> None:
        torch.set_num_threads(num_threads)
        metrics = StageMetrics("zonos_s1", num_slots)
        engine = CodeEngine(
            ZonosFiles([open_store(storage_root, access), embedded_store()], device),
            CodeSettings(
                num_slots,
                capacity,
                max_waiting,
                max_checkpoints,
                getattr(torch, dtype),
                deterministic,
                frames_per_chunk,
            ),
            metrics.set_load,
        )
        super().__init__("Zonos", engine, metrics, checkpoints[:max_checkpoints])

    async def generate(self, request: CodeRequest) -> AsyncGenerator[FrameChunk]:
        """The frames of one segment, in groups; the last one says how it ended.

        A caller that leaves frees both rows of the slot before the next step.

        Raises:
            Overloaded: too many segments wait.
            InvalidInput: ids or settings out of range, or a segment that is too long.
            DamagedRecord: the checkpoint can't be served.
        """
        with self._counted(_AUDIO_S_PER_SYMBOL * len(request.phoneme_ids)) as work:
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    work.is_finished = chunk.finish_reason is not None
                    yield chunk


zonos_backbone_deployment = serve.deployment(
    name="ZonosBackbone",
    max_ongoing_requests=100,
    graceful_shutdown_timeout_s=90,
    ray_actor_options={"num_cpus": 0.1},
)(ZonosBackbone)
