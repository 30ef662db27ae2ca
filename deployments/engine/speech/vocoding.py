"""S2 as an engine: a segment's tokens in, its waveform out in chunks, many segments at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import torch

from deployments.engine.batching.stepping import Load
from deployments.engine.speech.batched_checkpoints import BatchedCheckpoints, BatchSizes
from deployments.engine.speech.checkpoint_files import CheckpointFiles, CheckpointUnusable
from deployments.engine.speech.protocol import (
    EarlyAudio,
    EarlyRequest,
    Waveform,
    WaveformRequest,
)
from deployments.engine.speech.window_batch import EarlyPart, Job, WindowBatch
from models.gpt_sovits.s2.early_streaming import EarlyChunk
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer


@dataclass(frozen=True)
class WaveformSettings:
    """Sizes of the S2 engine.

    Args:
        num_slots: segments of one checkpoint that are in work together.
        max_batch: windows that are decoded in one call. With 1 a window's bits depend on nothing
            but its request, and on a CPU, which is busy with one, more bring no speed.
        max_waiting: segments that may wait for a slot, over all checkpoints.
        max_checkpoints: checkpoints in memory at most.
        generator_dtype: float32 is exact; bfloat16 and float16 are fast paths.
    """

    num_slots: int = 8
    max_batch: int = 1
    max_waiting: int = 32
    max_checkpoints: int = 4
    generator_dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class _Loaded:
    synthesizer: Synthesizer
    noise_scale: float


class WaveformEngine(BatchedCheckpoints[Job, Waveform | EarlyAudio, _Loaded]):
    """Serves S2 of every published checkpoint. For one event loop.

    Args:
        files: where checkpoints come from.
        settings: sizes.
        on_load: see `BatchedCheckpoints`.
        on_batch: called on the engine's thread with the number of windows of each call.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        settings: WaveformSettings,
        on_load: Callable[[Load], None] = lambda load: None,
        on_batch: Callable[[int], None] = lambda num_windows: None,
    ) -> None:
        self._files = files
        self._settings = settings
        self._on_batch = on_batch
        sizes = BatchSizes(settings.num_slots, settings.max_waiting, settings.max_checkpoints)
        super().__init__("s2", sizes, on_load=on_load)

    async def synthesize(self, request: WaveformRequest) -> AsyncGenerator[Waveform]:
        """Chunks of (samples,) float32 at `SAMPLE_RATE` that joined are the segment's waveform.

        The first is short. Leaving the iterator drops the windows not yet decoded.

        Raises:
            QueueFull: too many wait already.
            CheckpointUnusable: its weights can't be served, or compute what is no sound.
            ValueError: ids, speaker or settings out of range.
        """
        if request.skip_samples < 0:
            raise ValueError(f"skip_samples is {request.skip_samples}; it must be 0 or more")
        async with self._lease(request.checkpoint) as loaded:
            segment = _segment_of(request, loaded)
            job = Job(segment, request.skip_samples, priority=request.priority)
            stream = self._stream(request.checkpoint, job, priority=job.priority)
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    for waveform in chunk.tokens:
                        assert not isinstance(waveform, EarlyAudio)
                        _check_finite(waveform, request.checkpoint)
                        yield waveform

    async def synthesize_early(self, request: EarlyRequest) -> EarlyAudio:
        """What new tokens of a growing segment sound like; raises as `synthesize` does."""
        async with self._lease(request.checkpoint) as loaded:
            segment = _segment_of(request, loaded)
            previous = request.previous
            if previous is not None:
                device = segment.speaker.device
                previous = EarlyChunk(previous.latent.to(device), previous.waveform.to(device))
            early = EarlyPart(request.num_new_tokens, previous)
            job = Job(segment, early=early, priority=request.priority)
            stream = self._stream(request.checkpoint, job, priority=job.priority)
            async with aclosing(stream) as chunks:
                (audio,) = (await anext(chunks)).tokens
            assert isinstance(audio, EarlyAudio)
            _check_finite(audio.waveform, request.checkpoint)
            return audio

    def _new_batch(self, name: str) -> tuple[_Loaded, WindowBatch]:
        settings = self._settings
        synthesizer = self._files.synthesizer(name, settings.generator_dtype)
        batch = WindowBatch(synthesizer, settings.num_slots, settings.max_batch, self._on_batch)
        return _Loaded(synthesizer, self._files.document(name).sampling.noise_scale), batch


def _segment_of(request: WaveformRequest | EarlyRequest, loaded: _Loaded) -> Segment:
    """The request on the network's device; ids are checked here, as a GPU would stop over them."""
    codebook_size = loaded.synthesizer.config.codebook_size
    if not all(0 <= token < codebook_size for token in request.semantic_tokens):
        raise ValueError(f"semantic tokens must lie in [0, {codebook_size})")
    device = next(loaded.synthesizer.parameters()).device
    return Segment(
        semantic_tokens=torch.tensor(request.semantic_tokens, dtype=torch.int64, device=device),
        phoneme_ids=torch.tensor(request.phoneme_ids, dtype=torch.int64, device=device),
        speaker=request.reference.speaker.to(device),
        seed=request.seed,
        speed=request.speed,
        noise_scale=loaded.noise_scale,
    )


def _check_finite(waveform: Waveform, checkpoint: str) -> None:
    # Finite weights may overflow, in float16 above all; as 16-bit samples that would be loud noise.
    if not np.isfinite(waveform).all():
        raise CheckpointUnusable(f"checkpoint {checkpoint} makes samples that are not finite")
