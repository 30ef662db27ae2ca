"""Who speaks, for Zonos: a residual network over mel frames, pooled over time, then projected.

The network is the ResNet293 of WeSpeaker's recipes with SimAM (Yang et al., "SimAM: A Simple,
Parameter-Free Attention Module", ICML 2021) and attentive statistics pooling (Okabe et al., 2018).
Names of parameters are those of the published file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from models.zonos.speaker_mel import NUM_MELS

_NumBlocks = Annotated[int, Field(ge=1, le=128)]

_ATTENTION_DIM = 128
_SIMAM_LAMBDA = 1e-4
_MIN_VARIANCE = 1e-5


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SpeakerConfig:
    """Sizes of the network; the defaults are the published one's.

    Args:
        width: channels of the first stage; each further one doubles them.
        num_blocks: residual blocks of the four stages.
        embedding_dim: numbers of an embedding.
        projected_dim: numbers of the speaker Zonos is conditioned on.
    """

    width: Annotated[int, Field(ge=1, le=512)] = 64
    num_blocks: tuple[_NumBlocks, _NumBlocks, _NumBlocks, _NumBlocks] = (10, 20, 64, 3)
    embedding_dim: Annotated[int, Field(ge=1, le=4096)] = 256
    projected_dim: Annotated[int, Field(ge=1, le=4096)] = 128


class SpeakerNetwork(nn.Module):
    """Mel frames to an embedding of their speaker."""

    def __init__(self, config: SpeakerConfig) -> None:
        super().__init__()
        self.front = ResidualStages(config.width, config.num_blocks)
        pooled_dim = config.width * 8 * (NUM_MELS // 8)
        self.pooling = AttentivePooling(pooled_dim)
        self.bottleneck = nn.Linear(2 * pooled_dim, config.embedding_dim)

    def forward(self, mels: Tensor) -> Tensor:
        """(batch, mel, frame) of `log_mel` to (batch, embedding_dim)."""
        features: Tensor = self.front(mels.unsqueeze(1))
        embedding: Tensor = self.bottleneck(self.pooling(features.flatten(1, 2)))
        return embedding


class ResidualStages(nn.Module):
    """(batch, 1, mel, frame) to (batch, 8 * width, mel / 8, frame / 8), halves rounded up."""

    def __init__(self, width: int, num_blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        one, two, three, four = num_blocks
        self.layer1 = _stage(width, width, one, stride=1)
        self.layer2 = _stage(width, 2 * width, two, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, three, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, four, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        features = F.relu(self.bn1(self.conv1(features)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
        return features


def _stage(dim_in: int, dim_out: int, num_blocks: int, stride: int) -> nn.Sequential:
    rest = (Block(dim_out, dim_out, stride=1) for _ in range(num_blocks - 1))
    return nn.Sequential(Block(dim_in, dim_out, stride), *rest)


class Block(nn.Module):
    """Two convolutions and SimAM around a shortcut."""

    def __init__(self, dim_in: int, dim_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim_in, dim_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(dim_out)
        self.conv2 = nn.Conv2d(dim_out, dim_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim_out)
        self.downsample = nn.Sequential()
        if stride != 1 or dim_in != dim_out:
            shortcut = nn.Conv2d(dim_in, dim_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(dim_out))

    def forward(self, features: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(features)))
        out = simam(self.bn2(self.conv2(out)))
        return F.relu(out + self.downsample(features))


def simam(features: Tensor) -> Tensor:
    """Attention without parameters over (batch, channel, mel, frame), channel by channel.

    With d the squared distances from the channel's mean and v their sum over
    ``n = mel * frame - 1``, each value is weighted by ``sigmoid(d / (4 (v + 1e-4)) + 0.5)``.
    """
    num_others = features.shape[2] * features.shape[3] - 1
    distances = (features - features.mean(dim=(2, 3), keepdim=True)).square()
    variance = distances.sum(dim=(2, 3), keepdim=True) / num_others
    return features * torch.sigmoid(distances / (4 * (variance + _SIMAM_LAMBDA)) + 0.5)


class AttentivePooling(nn.Module):
    """(batch, channel, frame) to its weighted mean and deviation, (batch, 2 * channel)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv1d(dim, _ATTENTION_DIM, 1),
            nn.ReLU(),
            nn.BatchNorm1d(_ATTENTION_DIM),
            nn.Conv1d(_ATTENTION_DIM, dim, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        weights = self.attention(features).softmax(dim=2)
        mean = (weights * features).sum(dim=2)
        variance = (weights * features.square()).sum(dim=2) - mean.square()
        return torch.cat((mean, variance.clamp(min=_MIN_VARIANCE).sqrt()), dim=1)
