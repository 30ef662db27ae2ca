"""Speech to an embedding of its speaker."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from models.audio.resample import resample
from models.speaker.network import HOP_LENGTH, SAMPLE_RATE, SpeakerNetwork
from models.speaker.weights import WEIGHTS_NAME

WINDOW_FRAMES = 160
"""The network was trained on 1.6 s at a time."""
STEP_FRAMES = 77
"""From one window to the next: 1.3 windows a second."""
_MIN_COVERAGE = 0.75
_TARGET_LEVEL_DBFS = -30.0


class SpeakerEncoder:
    """Embeds speech. Holds weights only; calls may overlap.

    Args:
        folder: what `ensure_speaker_encoder` or `require_speaker_encoder` returned.
    """

    def __init__(self, folder: Path) -> None:
        self._network = SpeakerNetwork()
        self._network.load_state_dict(load_file(folder / WEIGHTS_NAME), strict=True)
        self._network.eval().requires_grad_(False)

    def embed(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """The speaker of a clip, the mean over its windows.

        Pauses are not cut out: two long ones make clips alike that are not.

        Args:
            waveform: (samples,) mono; a clip of 1.6 s or more says more than a shorter one.
            sample_rate: Hz.

        Returns:
            (256,) float32 of unit length; a dot product of two is their cosine.

        Raises:
            ValueError: the clip is empty, silent, or not finite.
        """
        return F.normalize(self.embed_windows(waveform, sample_rate).mean(dim=0), dim=0)

    @torch.no_grad()
    def embed_windows(
        self, waveform: Tensor, sample_rate: int, step_frames: int = STEP_FRAMES
    ) -> Tensor:
        """As `embed`, for each 1.6 s of the clip: (window, 256), `step_frames` of 10 ms apart."""
        if waveform.ndim != 1 or not waveform.numel():
            raise ValueError(f"a speaker needs (samples,) of audio, not {tuple(waveform.shape)}")
        if not waveform.isfinite().all() or not waveform.any():
            raise ValueError("a clip that is silent or not finite has no speaker")
        samples = _raise_level(resample(waveform.float(), sample_rate, SAMPLE_RATE))
        starts = window_starts(len(samples), step_frames)
        missing = (starts[-1] + WINDOW_FRAMES) * HOP_LENGTH - len(samples)
        mel = self._network.mel(F.pad(samples, (0, max(0, missing))))
        windows = torch.stack([mel[start : start + WINDOW_FRAMES] for start in starts])
        embeddings: Tensor = self._network(windows)
        return embeddings


def window_starts(num_samples: int, step_frames: int = STEP_FRAMES) -> list[int]:
    """First frames of the windows over a clip; the last may reach a quarter beyond its end."""
    num_frames = math.ceil((num_samples + 1) / HOP_LENGTH)
    num_starts = max(1, num_frames - WINDOW_FRAMES + step_frames + 1)
    starts = list(range(0, num_starts, step_frames))
    covered = num_samples - starts[-1] * HOP_LENGTH
    if len(starts) > 1 and covered < _MIN_COVERAGE * WINDOW_FRAMES * HOP_LENGTH:
        starts.pop()
    return starts


def _raise_level(samples: Tensor) -> Tensor:
    """Quiet clips are raised to the level of the training data; loud ones stay as they are."""
    level_dbfs = 10 * math.log10(max(float(samples.square().mean()), 1e-20))
    return samples * 10 ** (max(0.0, _TARGET_LEVEL_DBFS - level_dbfs) / 20)
