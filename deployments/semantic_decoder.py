"""SemanticDecoder: S1 for many requests at once. A shim around its engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal

import torch
from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.engine.speech.checkpoint_files import CheckpointFiles
from deployments.engine.speech.protocol import SemanticRequest, TokenChunk
from deployments.engine.speech.semantic import SemanticEngine, SemanticSettings
from deployments.speech_stage import EngineStage, StageMetrics
from models.storage import AwsAccess, embedded_store, open_store

_AUDIO_S_PER_PHONEME = 0.08


class SemanticArgs(StrictArgs):
    """Settings of the S1 stage."""

    num_threads: int = Field(default=1, ge=1, description="Torch threads of one replica.")
    num_slots: int = Field(
        default=8, ge=1, description="Sequences of one checkpoint that decode together."
    )
    capacity: int = Field(
        default=2048, ge=256, description="Cache positions of a sequence: text, prompt, new tokens."
    )
    max_waiting: int = Field(default=32, ge=0, description="Segments that may wait for a slot.")
    max_checkpoints: int = Field(default=4, ge=1, description="Checkpoints in memory at most.")
    device: str = Field(default="cpu", description="Torch's name of the device, such as cuda.")
    dtype: Literal["float32", "bfloat16"] = "float32"
    tokens_per_chunk: int = Field(
        default=16, ge=1, description="Tokens of one message; each message costs about a ms."
    )
    deterministic: bool = Field(
        default=False,
        description="Tokens independent of the load on every device; in float32 on CPUs they "
        "always are.",
    )


class SemanticDecoder(EngineStage[SemanticEngine]):
    """Streams the semantic tokens of segments, batched continuously.

    Args:
        storage_root: where checkpoints are published, see `open_store`.
        access: of a storage root that is not a folder.
        checkpoints: loaded before the stage is ready, as many as fit.
        others: see `SemanticArgs`.
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
        tokens_per_chunk: int,
        deterministic: bool,
    ) -> None:
        torch.set_num_threads(num_threads)
        metrics = StageMetrics("s1", num_slots)
        engine = SemanticEngine(
            CheckpointFiles([open_store(storage_root, access), embedded_store()], device),
            SemanticSettings(
                num_slots,
                capacity,
                max_waiting,
                max_checkpoints,
                getattr(torch, dtype),
                deterministic,
                tokens_per_chunk,
            ),
            metrics.set_load,
        )
        super().__init__("S1", engine, metrics, checkpoints[:max_checkpoints])

    async def generate(self, request: SemanticRequest) -> AsyncGenerator[TokenChunk]:
        """The tokens of one segment, in groups; the last one says how it ended.

        A caller that leaves frees the slot before the next step.

        Raises:
            Overloaded: too many segments wait.
            InvalidInput: ids out of range, or a segment that is too long.
            DamagedRecord: the checkpoint can't be served.
        """
        with self._counted(_AUDIO_S_PER_PHONEME * len(request.phoneme_ids)) as work:
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    work.is_finished = chunk.finish_reason is not None
                    yield chunk


semantic_decoder_deployment = serve.deployment(
    name="SemanticDecoder",
    max_ongoing_requests=100,
    graceful_shutdown_timeout_s=90,
    ray_actor_options={"num_cpus": 0.1},
)(SemanticDecoder)
