"""Zonos' backbone as an engine: phonemes and conditions in, frames of codes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deployments.engine.batching.stepping import Chunk, Load
from deployments.engine.speech.batched_checkpoints import BatchedCheckpoints, BatchSizes
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.engine.speech.zonos_protocol import CodeRequest, FrameChunk
from models.zonos.codes import (
    FRAME_RATE_HZ,
    MAX_FRAMES,
    NUM_CODEBOOKS,
    ORDINARY_SPEAKING_RATE,
)
from models.zonos.columns import Frame
from models.zonos.conditioners import PrefixConditioner
from models.zonos.generation import ZonosBatch, ZonosRequest
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.kv_cache import ROWS_PER_PAIR

# Phoneme symbols include stress marks and spaces. Ordinary speech takes 0.05 to 0.1 s for each;
# three times that, and two seconds for very short texts, is speech that does not end.
_MIN_S_PER_SYMBOL = 0.05
_MAX_S_PER_SYMBOL = 0.3
_EXTRA_S = 2.0


@dataclass(frozen=True)
class CodeSettings:
    """Sizes of the backbone's engine.

    Args:
        num_slots: sequences of one checkpoint that decode together, of two rows each.
        capacity: cache positions of a sequence: prefix, prompt and new frames.
        max_waiting: sequences that may wait for a slot, over all checkpoints.
        max_checkpoints: checkpoints in memory at most.
        dtype: bfloat16 is what the published weights are used to; float32 is exact.
        is_deterministic: every step has the rows of a full batch, so that codes do not depend on
            how many decode; in float32 on a CPU they never do.
        frames_per_chunk: frames handed over together.
    """

    num_slots: int = 8
    capacity: int = 3072
    max_waiting: int = 32
    max_checkpoints: int = 1
    dtype: torch.dtype = torch.float32
    is_deterministic: bool = False
    frames_per_chunk: int = 20


class CodeEngine(BatchedCheckpoints[ZonosRequest, Frame, PrefixConditioner]):
    """Serves the backbone of every published Zonos checkpoint. For one event loop.

    Args:
        files: where checkpoints come from.
        settings: sizes.
        on_load: see `BatchedCheckpoints`.
    """

    def __init__(
        self,
        files: ZonosFiles,
        settings: CodeSettings,
        on_load: Callable[[Load], None] = lambda load: None,
    ) -> None:
        self._files = files
        self._settings = settings
        sizes = BatchSizes(settings.num_slots, settings.max_waiting, settings.max_checkpoints)
        super().__init__("zonos", sizes, on_load=on_load)

    async def generate(self, request: CodeRequest) -> AsyncGenerator[FrameChunk]:
        """The frames of one segment; leaving the iterator frees both its rows before the next step.

        Raises:
            QueueFull: too many wait already.
            CheckpointUnusable: its weights can't be served, or compute what is no number.
            ValueError: ids or settings out of range, or a segment longer than the cache.
        """
        async with self._lease(request.checkpoint) as conditioner:
            prefix = await asyncio.to_thread(_prefix, conditioner, request)
            chunks = self._stream(
                request.checkpoint,
                self._zonos_request(request, prefix),
                request.generated_prefix,
                self._settings.frames_per_chunk,
                request.priority,
            )
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield _frame_chunk(chunk)

    def _zonos_request(self, request: CodeRequest, prefix: Tensor) -> ZonosRequest:
        columns = self._settings.capacity - prefix.shape[1] - NUM_CODEBOOKS + 1
        return ZonosRequest(
            prefix=prefix,
            seed=request.seed,
            prompt=request.prompt,
            sampling=request.sampling,
            guidance_scale=request.guidance_scale,
            max_new_frames=_max_new_frames(request, min(columns, MAX_FRAMES)),
            generated_prefix=request.generated_prefix,
        )

    def _new_batch(self, name: str) -> tuple[PrefixConditioner, ZonosBatch]:
        settings = self._settings
        network = self._files.backbone(name, settings.dtype)
        row_bucket = ROWS_PER_PAIR * settings.num_slots if settings.is_deterministic else None
        decoder = GuidedDecoder(network, settings.dtype, row_bucket)
        batch = ZonosBatch(decoder, settings.num_slots, settings.capacity)
        return network.prefix_conditioner, batch


@torch.inference_mode()
def _prefix(conditioner: PrefixConditioner, request: CodeRequest) -> Tensor:
    """(2, position, channel), on the network's device."""
    device = conditioner.norm.weight.device
    values = {name: value.to(device) for name, value in request.conditions.values().items()}
    phoneme_ids = torch.tensor(request.phoneme_ids, dtype=torch.int64, device=device)
    return conditioner.guidance_pair(phoneme_ids, values)


def _max_new_frames(request: CodeRequest, max_frames: int) -> int:
    """Frames after which a segment is cut off.

    Args:
        max_frames: what the cache and the network's 30 s allow, the prompt's frames included.

    Raises:
        ValueError: there is less room than the request asks for, or than its text may need.
    """
    room = max_frames - len(request.prompt)
    if request.max_new_frames is not None:
        if request.max_new_frames > room:
            raise ValueError(
                f"max_new_frames is {request.max_new_frames}; behind this text and prompt it must "
                f"be {max(room, 0)} or less"
            )
        return request.max_new_frames
    num_symbols = len(request.phoneme_ids)
    needed = round(_MIN_S_PER_SYMBOL * num_symbols * FRAME_RATE_HZ)
    if room < 1 or max_frames < needed:  # what a prompt says is in the text as well
        raise ValueError(
            f"a segment of {num_symbols} phoneme symbols needs {needed} frames or more, its "
            f"prompt's {len(request.prompt)} included; there are {max(max_frames, 0)}"
        )
    rate = request.conditions.speaking_rate or ORDINARY_SPEAKING_RATE
    slowness = max(1.0, ORDINARY_SPEAKING_RATE / rate)
    longest_s = _EXTRA_S + _MAX_S_PER_SYMBOL * slowness * num_symbols
    # Slow enough, it is infinite, which is no whole number.
    return round(min(longest_s * FRAME_RATE_HZ, room))


def _frame_chunk(chunk: Chunk[Frame]) -> FrameChunk:
    # Zonos has no loop detector, so its sequences end in one of these two ways.
    assert chunk.outcome != "loop"
    frames = np.array(chunk.tokens, dtype=np.int16).reshape(-1, NUM_CODEBOOKS)
    return FrameChunk(frames, chunk.outcome)
