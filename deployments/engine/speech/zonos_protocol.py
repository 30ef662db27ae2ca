"""What Zonos' stages are asked and what they answer. These cross process boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deployments.engine.batching.priority import Priority
from models.zonos.codes import CODEBOOK_SIZE, NUM_CODEBOOKS
from models.zonos.columns import Frame
from models.zonos.conditions import Conditions
from models.zonos.generation import GUIDANCE_SCALE
from models.zonos.sampling import SamplingSettings
from models.zonos.windows import MAX_WINDOW_FRAMES

Waveform = NDArray[np.float32]


@dataclass(frozen=True)
class CodeRequest:
    """One segment for the backbone.

    Args:
        checkpoint: `id@version` of the weights.
        phoneme_ids: of the text, what the prompt says included, with the marks for begin and end.
        conditions: whose voice, and how it speaks.
        seed: any int64; the same request with the same seed gives the same frames.
        prompt: frames of audio that the speech goes on from; they are not repeated in the answer.
        sampling: how codes are drawn.
        guidance_scale: above 1; how far to go from what the text alone would sound like.
        max_new_frames: the segment is cut off here; None for what the text can take.
        generated_prefix: frames that this request has generated already; generation goes on behind
            them as if it had not been interrupted.
        priority: who waits for it.
    """

    checkpoint: str
    phoneme_ids: tuple[int, ...]
    conditions: Conditions
    seed: int
    prompt: tuple[Frame, ...] = ()
    sampling: SamplingSettings = SamplingSettings()
    guidance_scale: float = GUIDANCE_SCALE
    max_new_frames: int | None = None
    generated_prefix: tuple[Frame, ...] = ()
    priority: Priority = "interactive"


@dataclass(frozen=True)
class FrameChunk:
    """Consecutive frames, at 86 Hz; the last chunk of a stream says how it ended.

    `stop`: the end code was drawn. `length`: it went on for longer than it may.

    Args:
        frames: (frame, codebook), codes of 0 to 1023.
    """

    frames: NDArray[np.int16]
    finish_reason: Literal["stop", "length"] | None


@dataclass(frozen=True)
class CodeWindow:
    """Some frames of a line, and those around them that the decoder needs to see.

    Nothing is remembered between two windows, so any replica can decode the next one.

    Args:
        checkpoint: `id@version` of the weights.
        codes: (frame, codebook) int16.
        start, stop: the frames that are to be heard.
        priority: whether somebody listens.
    """

    checkpoint: str
    codes: NDArray[np.int16]
    start: int
    stop: int
    priority: Priority = "interactive"

    def check(self) -> None:
        """Raises ValueError unless there are frames to hear, and not more than a window has."""
        if self.codes.ndim != 2 or self.codes.shape[1] != NUM_CODEBOOKS:
            raise ValueError(f"codes must be (frame, {NUM_CODEBOOKS}), not {self.codes.shape}")
        if not 0 <= self.codes.min(initial=0) <= self.codes.max(initial=0) < CODEBOOK_SIZE:
            raise ValueError(f"codes must lie in [0, {CODEBOOK_SIZE})")
        if not 0 <= self.start < self.stop <= len(self.codes) <= MAX_WINDOW_FRAMES:
            raise ValueError(
                f"frames {self.start} to {self.stop} of {len(self.codes)}; a window has 1 to "
                f"{MAX_WINDOW_FRAMES} frames"
            )
