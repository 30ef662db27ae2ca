"""One request's share of S2: what is spoken, by whom, how."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models import counter_random

# The latent grows as 1 / speed: without a bound a request could ask for any amount of memory.
MIN_SPEED, MAX_SPEED = 0.1, 10.0
DEFAULT_NOISE_SCALE = 0.5
"""The reference's."""

MAX_NOISE_SCALE = 10.0
"""Beyond any use, and far from what would overflow."""

_SEEDS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Segment:
    """A stretch of speech to decode. Nothing in it depends on a batch.

    Raises:
        ValueError: a tensor of the wrong shape or dtype, no tokens or phonemes, a speaker that is
            not finite, a seed, speed or noise scale that is out of range.
    """

    semantic_tokens: Tensor
    """(token,) int64 at 25 Hz, generated ones only (no prompt)."""
    phoneme_ids: Tensor
    """(phoneme,) int64 of the target text only."""
    speaker: Tensor
    """(speaker_dim,), see ``Synthesizer.speaker_embedding``."""
    seed: int
    """Names the noise: same seed, same waveform; any int64."""
    speed: float = 1.0
    noise_scale: float = DEFAULT_NOISE_SCALE

    def __post_init__(self) -> None:
        for name in ("semantic_tokens", "phoneme_ids", "speaker"):
            value = getattr(self, name)
            if value.dim() != 1 or not len(value):
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}; "
                    "it must have one dimension and not be empty"
                )
        for name in ("semantic_tokens", "phoneme_ids"):
            dtype = getattr(self, name).dtype
            if dtype != torch.int64:
                raise ValueError(f"{name} is {dtype}; it must be int64")
        if not self.speaker.is_floating_point() or not bool(self.speaker.isfinite().all()):
            raise ValueError("speaker must hold finite floats")
        if self.seed not in _SEEDS:
            raise ValueError(f"seed is {self.seed}; it must fit 64 signed bits")
        if not MIN_SPEED <= self.speed <= MAX_SPEED:
            raise ValueError(f"speed is {self.speed}; it must lie in [{MIN_SPEED}, {MAX_SPEED}]")
        check_noise_scale(self.noise_scale)


def check_noise_scale(noise_scale: float) -> None:
    """Raise `ValueError` unless a sample of the prior can be drawn with it."""
    if not 0 <= noise_scale <= MAX_NOISE_SCALE:
        raise ValueError(f"noise_scale is {noise_scale}; it must lie in [0, {MAX_NOISE_SCALE}]")


def frame_noise(seed: int, start_frame: int, num_frames: int, num_channels: int) -> Tensor:
    """Standard normal noise of latent frames; a frame's depends on (seed, frame) alone.

    So chunks, retries and batches of a segment draw the same.

    Returns:
        (num_channels, num_frames) float32.
    """
    frames = torch.arange(start_frame, start_frame + num_frames)
    return counter_random.normal(torch.full_like(frames, seed), frames, num_channels).t()


def pad_rows(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack (time,) or (channel, time) rows, zero-padded at the end.

    Returns:
        The batch, time last, and its (batch,) int64 lengths.
    """
    lens = torch.tensor([row.shape[-1] for row in rows], device=rows[0].device)
    if rows[0].dim() == 1:
        return pad_sequence(rows, batch_first=True), lens
    padded = pad_sequence([row.t() for row in rows], batch_first=True)
    return padded.transpose(1, 2), lens
