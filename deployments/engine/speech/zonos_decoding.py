"""Zonos' stage 2 as an engine: a window of codes in, its sound out, many windows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import torch

from deployments.engine.batching.stepping import Load
from deployments.engine.speech.batched_checkpoints import BatchedCheckpoints, BatchSizes
from deployments.engine.speech.zonos_files import ZonosFiles
from deployments.engine.speech.zonos_protocol import CodeWindow, Waveform
from models.zonos.codes import SAMPLES_PER_FRAME
from models.zonos.dac import Dac


@dataclass(frozen=True)
class DecodingSettings:
    """Sizes of the engine.

    Args:
        max_batch: windows that are decoded in one call. With 1 a window's bits depend on nothing
            but itself, and on a CPU, which is busy with one, more bring no speed.
        max_waiting: windows that may wait, over all checkpoints.
        max_checkpoints: codecs in memory at most.
        dtype: float32 is exact; bfloat16 and float16 are fast paths.
    """

    max_batch: int = 1
    max_waiting: int = 32
    max_checkpoints: int = 2
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class Decoded:
    """The sound of the window in one slot, which is its end as well."""

    slot: int
    token: Waveform | None
    finish_reason: str | None


class CodecBatch:
    """The windows of one checkpoint that are in work: a `Runner` of one step each.

    A step decodes windows of one length together, beginning with the one that came first.

    Args:
        dac: shared, read-only.
        max_batch: windows of one call.
    """

    def __init__(self, dac: Dac, max_batch: int) -> None:
        self._dac = dac
        self._free = list(range(max_batch))
        self._windows: dict[int, CodeWindow] = {}

    def join(self, request: CodeWindow) -> int:
        """Take a window in; `ValueError` if it is none."""
        request.check()
        slot = self._free.pop()
        self._windows[slot] = request
        return slot

    def resume(self, request: CodeWindow, tokens: Sequence[Waveform]) -> int:
        """`join`: a window is whole or not at all."""
        return self.join(request)

    def leave(self, slot: int) -> None:
        """Drop a window that is not decoded yet."""
        if slot not in self._windows:
            raise ValueError(f"slot {slot} holds no window")
        del self._windows[slot]
        self._free.append(slot)

    def step(self) -> list[Decoded]:
        """The sound of the first window, and of those as long as it is."""
        num_frames = len(next(iter(self._windows.values())).codes)
        together = {
            slot: window
            for slot, window in self._windows.items()
            if len(window.codes) == num_frames
        }
        codes = np.stack([window.codes for window in together.values()]).astype(np.int64)
        waveforms = self._dac.decode(torch.from_numpy(codes)).cpu().numpy()
        results = []
        for (slot, window), waveform in zip(together.items(), waveforms, strict=True):
            self.leave(slot)
            heard = waveform[window.start * SAMPLES_PER_FRAME : window.stop * SAMPLES_PER_FRAME]
            is_sound = bool(np.isfinite(heard).all())
            results.append(
                Decoded(slot, heard if is_sound else None, "end" if is_sound else "not_finite")
            )
        return results


class CodecEngine(BatchedCheckpoints[CodeWindow, Waveform, Dac]):
    """Serves the codec of every published Zonos checkpoint. For one event loop.

    Args:
        files: where checkpoints come from.
        settings: sizes.
        on_load: see `BatchedCheckpoints`.
    """

    def __init__(
        self,
        files: ZonosFiles,
        settings: DecodingSettings,
        on_load: Callable[[Load], None] = lambda load: None,
    ) -> None:
        self._files = files
        self._settings = settings
        sizes = BatchSizes(settings.max_batch, settings.max_waiting, settings.max_checkpoints)
        super().__init__("codec", sizes, on_load=on_load)

    async def decode(self, window: CodeWindow) -> Waveform:
        """(samples,) float32 of the frames that are to be heard; leaving drops the window.

        Raises:
            QueueFull: too many wait already.
            CheckpointUnusable: its weights can't be served, or compute what is no sound.
            ValueError: codes or places out of range.
        """
        async with self._lease(window.checkpoint):
            stream = self._stream(window.checkpoint, window, priority=window.priority)
            async with aclosing(stream) as chunks:
                (waveform,) = (await anext(chunks)).tokens
            return waveform

    def _new_batch(self, name: str) -> tuple[Dac, CodecBatch]:
        dac = self._files.codec(name, self._settings.dtype)
        return dac, CodecBatch(dac, self._settings.max_batch)
