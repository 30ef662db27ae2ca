"""Reference spectrogram -> speaker embedding."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.layers import length_mask, same_padding

_KERNEL_SIZE = 5
_DROPOUT = 0.1


class GatedConv(nn.Module):
    """``x + a * sigmoid(b)`` with ``a, b`` from one convolution over (batch, channel, time)."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(
            num_channels, 2 * num_channels, _KERNEL_SIZE, padding=same_padding(_KERNEL_SIZE)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + F.dropout(F.glu(self.conv(x), dim=1), _DROPOUT, self.training)


class ReferenceAttention(nn.Module):
    """Self-attention over (batch, time, channel) with a residual and no norm.

    Scores are divided by the square root of the *model* width, not of the head width.
    """

    def __init__(self, num_channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(num_channels, num_channels)
        self.key = nn.Linear(num_channels, num_channels)
        self.value = nn.Linear(num_channels, num_channels)
        self.output = nn.Linear(num_channels, num_channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend within ``x``; ``mask`` (batch, 1, time) hides padding keys."""
        query, key, value = (
            project(x).reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(x.shape[2])
        weights = scores.masked_fill(mask.unsqueeze(1) == 0, -torch.inf).softmax(dim=-1)
        weights = F.dropout(weights, _DROPOUT, self.training)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        return x + F.dropout(self.output(mixed), _DROPOUT, self.training)


class ReferenceEncoder(nn.Module):
    """Mel-style encoder over the lower bins of a linear spectrogram (upstream ``ref_enc``)."""

    def __init__(self, config: S2Config) -> None:
        super().__init__()
        width = config.reference_channels
        self.num_bins = config.reference_bins
        self.spectral = nn.ModuleList([nn.Linear(self.num_bins, width), nn.Linear(width, width)])
        self.temporal = nn.ModuleList([GatedConv(width), GatedConv(width)])
        self.attention = ReferenceAttention(width, config.reference_heads)
        self.out = nn.Linear(width, config.speaker_dim)

    def forward(self, spec: Tensor, lens: Tensor) -> Tensor:
        """One embedding per row.

        Padding of a batch changes the last four real frames a little, as in the reference: the
        spectral layers turn zero frames into non-zero ones before the convolutions. Encode
        clips one by one where that matters; training does not.

        Args:
            spec: (batch, bin, frame), at least ``reference_bins`` bins.
            lens: (batch,) int64, real frames, at least 1.

        Returns:
            (batch, speaker_dim, 1).
        """
        mask = length_mask(lens, spec.shape[2]).to(spec)
        x = (spec[:, : self.num_bins] * mask).transpose(1, 2)
        for linear in self.spectral:
            x = F.dropout(F.mish(linear(x)), _DROPOUT, self.training)
        x = x.transpose(1, 2)
        for conv in self.temporal:
            x = conv(x)
        x = self.out(self.attention((x * mask).transpose(1, 2), mask))
        frame_mask = mask.transpose(1, 2)
        mean: Tensor = (x * frame_mask).sum(dim=1) / frame_mask.sum(dim=1)
        return mean.unsqueeze(2)
