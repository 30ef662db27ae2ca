"""The discriminators a voice is trained against: one on the raw scale, one per period.

Kong et al., 2020 (HiFi-GAN). Sizes do not depend on the voice; ``width_divisor`` thins them for
voices trained on little hardware.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

PERIODS = (2, 3, 5, 7, 11)
_SLOPE = 0.1


class Verdict(NamedTuple):
    """What one discriminator says of a batch."""

    score: Tensor
    """(batch, score), 1 for real."""
    feature_maps: list[Tensor]
    """Every activated convolution's output, then the score before flattening."""


class ScaleDiscriminator(nn.Module):
    """Strided grouped convolutions over the waveform itself."""

    def __init__(self, width_divisor: int = 1) -> None:
        super().__init__()
        # (out channels, kernel, stride, groups)
        layers = [
            (16, 15, 1, 1),
            (64, 41, 4, 4),
            (256, 41, 4, 16),
            (1024, 41, 4, 64),
            (1024, 41, 4, 256),
            (1024, 5, 1, 1),
        ]
        self.convs = nn.ModuleList()
        width = 1
        for full_width, kernel, stride, full_groups in layers:
            next_width = full_width // width_divisor
            groups = max(1, full_groups // width_divisor)
            self.convs.append(
                weight_norm(
                    nn.Conv1d(width, next_width, kernel, stride, kernel // 2, groups=groups)
                )
            )
            width = next_width
        self.conv_post = weight_norm(nn.Conv1d(width, 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> Verdict:
        """Judge (batch, 1, samples)."""
        return _judge(waveform, self.convs, self.conv_post)


class PeriodDiscriminator(nn.Module):
    """2-d convolutions over the waveform folded at a period; they never mix the phases."""

    def __init__(self, period: int, width_divisor: int = 1) -> None:
        super().__init__()
        self.period = period
        self.convs = nn.ModuleList()
        width = 1
        for full_width, stride in ((32, 3), (128, 3), (512, 3), (1024, 3), (1024, 1)):
            next_width = full_width // width_divisor
            self.convs.append(
                weight_norm(nn.Conv2d(width, next_width, (5, 1), (stride, 1), padding=(2, 0)))
            )
            width = next_width
        self.conv_post = weight_norm(nn.Conv2d(width, 1, (3, 1), padding=(1, 0)))

    def forward(self, waveform: Tensor) -> Verdict:
        """Judge (batch, 1, samples)."""
        missing = -waveform.shape[2] % self.period
        padded = F.pad(waveform, (0, missing), mode="reflect") if missing else waveform
        return _judge(padded.reshape(len(padded), 1, -1, self.period), self.convs, self.conv_post)


class Discriminators(nn.Module):
    """The scale discriminator, then one per period.

    Args:
        width_divisor: 1, 2, 4 or 8; every width is divided by it.

    Raises:
        ValueError: another divisor.
    """

    def __init__(self, width_divisor: int = 1) -> None:
        super().__init__()
        if width_divisor not in (1, 2, 4, 8):
            raise ValueError(f"width_divisor is {width_divisor}; it must be 1, 2, 4 or 8")
        self.discriminators = nn.ModuleList(
            [
                ScaleDiscriminator(width_divisor),
                *(PeriodDiscriminator(period, width_divisor) for period in PERIODS),
            ]
        )

    def forward(self, waveform: Tensor) -> list[Verdict]:
        """Judge (batch, 1, samples), one verdict per discriminator."""
        return [discriminator(waveform) for discriminator in self.discriminators]


def _judge(x: Tensor, convs: nn.ModuleList, conv_post: nn.Module) -> Verdict:
    feature_maps = []
    for conv in convs:
        x = F.leaky_relu(conv(x), _SLOPE)
        feature_maps.append(x)
    x = conv_post(x)
    return Verdict(torch.flatten(x, 1), [*feature_maps, x])
