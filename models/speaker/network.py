"""The network of Wan et al., "Generalized End-to-End Loss for Speaker Verification" (2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.audio.mel import mel_filterbank

SAMPLE_RATE = 16_000
N_FFT = 400  # 25 ms
HOP_LENGTH = 160  # 10 ms
NUM_MELS = 40
EMBEDDING_DIM = 256

_NUM_LAYERS = 3


class SpeakerNetwork(nn.Module):
    """Mel frames through three LSTM layers; the last state of the last one, projected.

    The projection goes through a ReLU before it is scaled to unit length, so no coordinate is
    negative and a cosine lies in [0, 1].
    """

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(NUM_MELS, EMBEDDING_DIM, _NUM_LAYERS, batch_first=True)
        self.linear = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)
        filters = mel_filterbank(SAMPLE_RATE, N_FFT, NUM_MELS, SAMPLE_RATE / 2)
        self.register_buffer("filters", filters, persistent=False)

    def mel(self, waveform: Tensor) -> Tensor:
        """Mel power, without a logarithm, centred frames, zeros beyond the ends.

        Args:
            waveform: (samples,) at 16 kHz.

        Returns:
            (frame, mel) of ``samples // 160 + 1`` frames.
        """
        spectrum = torch.stft(
            waveform,
            N_FFT,
            HOP_LENGTH,
            window=torch.hann_window(N_FFT).to(waveform),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return (self.filters @ power).T

    def forward(self, mels: Tensor) -> Tensor:
        """Embed windows of equal length.

        Args:
            mels: (window, frame, mel).

        Returns:
            (window, 256) of unit length.
        """
        _, (hidden, _) = self.lstm(mels)
        return F.normalize(F.relu(self.linear(hidden[-1])), dim=1)
