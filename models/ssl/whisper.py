"""Whisper base's encoder as a source of semantic tokens: what the small embedded voices quantise.

Published voices use HuBERT; no HuBERT weights can be packaged with the project, and this encoder is
here already, for recognition. One convention for training clips, reference clips and all others:

- A clip is encoded alone, as it is, not padded to Whisper's window of 30 s. That is 15 times
  cheaper, and as features of a clip depend on what surrounds it, only one way can be the right one.
- 0.3 s of zeros follow it, so that its last frames are no edge; their frames are dropped.
- Level says nothing: the loudest mel bin of a clip is put where loud speech has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import ctranslate2
import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from torch import Tensor

from models.assets import WHISPER, require
from models.ssl.encoder import SSL_SAMPLE_RATE

_DIM = 512
_FRAME_SAMPLES = SSL_SAMPLE_RATE // 50
_PADDING_SAMPLES = 4_800
# The encoder has 1,500 positions of 20 ms; the zeros take 15 of them.
MAX_CLIP_SAMPLES = 30 * SSL_SAMPLE_RATE - _PADDING_SAMPLES
# Whisper's mel is (log10 power + 4) / 4. The loudest bins of clips at -18 LUFS lie at 1.3 to 1.45.
_PEAK_MEL = 1.4


class WhisperEncoder:
    """Features of the last encoder layer, 512 channels, 50 frames a second.

    Args:
        folder: a Whisper base model converted for CTranslate2.
        num_threads: threads of one call.
    """

    def __init__(self, folder: Path, num_threads: int = 1) -> None:
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="float32", intra_threads=num_threads
        )
        self._mel = FeatureExtractor()

    @classmethod
    def load(cls, num_threads: int = 1) -> Self:
        """The packaged model.

        Raises:
            models.assets.AssetError: it was never fetched.
        """
        return cls(require(WHISPER), num_threads)

    @property
    def dim(self) -> int:
        return _DIM

    @property
    def reference_padding_samples(self) -> int:
        """None: a prompt is encoded as the training clips are."""
        return 0

    def encode(self, waveform: Tensor) -> Tensor:
        """Features of (batch, samples) at 16 kHz: (batch, samples // 320, 512) float32.

        Rows do not influence each other.

        Raises:
            ValueError: another shape, shorter than a frame, or longer than 29.7 s.
        """
        if waveform.dim() != 2:
            raise ValueError(f"waveform has shape {tuple(waveform.shape)}, not (batch, samples)")
        num_samples = waveform.shape[1]
        if not _FRAME_SAMPLES <= num_samples <= MAX_CLIP_SAMPLES:
            raise ValueError(
                f"waveform has {num_samples} samples; it must have {_FRAME_SAMPLES} to "
                f"{MAX_CLIP_SAMPLES} at {SSL_SAMPLE_RATE} Hz"
            )
        mels = np.stack([self._log_mel(row) for row in waveform.float().cpu().numpy()])
        encoded = self._model.encode(ctranslate2.StorageView.from_array(mels))
        return torch.from_numpy(np.array(encoded))[:, : num_samples // _FRAME_SAMPLES]

    def _log_mel(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        padded = np.pad(samples, (0, _PADDING_SAMPLES))
        mel = self._mel(padded, padding=0).astype(np.float32)
        leveled: NDArray[np.float32] = mel + (np.float32(_PEAK_MEL) - mel.max())
        return leveled
