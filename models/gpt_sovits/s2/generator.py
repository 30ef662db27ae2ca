"""Latent frames -> waveform: a HiFi-GAN generator conditioned on the speaker.

Kong et al., 2020, with the speaker added once, after the first convolution. All stages work on
``(batch, channel, time)``; each stage multiplies the time axis by its rate.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.layers import same_padding, weight_norm_conv1d

SLOPE = 0.1
# The reference calls leaky ReLU without a slope before its last convolution: PyTorch's default.
LAST_SLOPE = 0.01
EDGE_KERNEL_SIZE = 7


class ResidualBlock(nn.Module):
    """``x += conv(lrelu(dilated_conv(lrelu(x))))`` once per dilation."""

    def __init__(self, num_channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            weight_norm_conv1d(num_channels, num_channels, kernel_size, dilation)
            for dilation in dilations
        )
        self.plain = nn.ModuleList(
            weight_norm_conv1d(num_channels, num_channels, kernel_size) for _ in dilations
        )

    def forward(self, x: Tensor, lens: list[int] | None) -> Tensor:
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            y = zero_tail(dilated(F.leaky_relu(x, SLOPE)), lens)
            x = zero_tail(x + plain(F.leaky_relu(y, SLOPE)), lens)
        return x


class Generator(nn.Module):
    """Upsampling stages, each followed by parallel residual blocks (upstream ``dec``)."""

    def __init__(self, config: S2Config) -> None:
        super().__init__()
        width = config.upsample_channels
        self.rates = config.upsample_rates
        self.conv_pre = nn.Conv1d(
            config.latent_channels, width, EDGE_KERNEL_SIZE, padding=same_padding(EDGE_KERNEL_SIZE)
        )
        self.speaker_in = nn.Conv1d(config.speaker_dim, width, 1)
        self.upsamples = nn.ModuleList()
        self.resblocks = nn.ModuleList()  # stage by stage
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            upsample = nn.ConvTranspose1d(width, width // 2, kernel, rate, (kernel - rate) // 2)
            nn.init.normal_(upsample.weight, std=0.01)
            self.upsamples.append(weight_norm(upsample))
            width //= 2
            self.resblocks.extend(
                ResidualBlock(width, size, dilations)
                for size, dilations in zip(
                    config.resblock_kernel_sizes, config.resblock_dilations, strict=True
                )
            )
        self.conv_post = nn.Conv1d(
            width, 1, EDGE_KERNEL_SIZE, padding=same_padding(EDGE_KERNEL_SIZE), bias=False
        )

    def forward(self, z: Tensor, speaker: Tensor, lens: list[int] | None = None) -> Tensor:
        """Synthesise.

        Args:
            z: (batch, latent_channel, frame), zero in padding.
            speaker: (batch, speaker_dim, 1).
            lens: real frames of each row; None when every row is full. Given, the padding is
                held at zero at every depth, so that a row sounds the same in any batch.

        Returns:
            (batch, 1, frame * hop_length) in [-1, 1].
        """
        x = zero_tail(self.conv_pre(z) + self.speaker_in(speaker), lens)
        blocks_per_stage = len(self.resblocks) // len(self.rates)
        for stage, (rate, upsample) in enumerate(zip(self.rates, self.upsamples, strict=True)):
            lens = None if lens is None else [length * rate for length in lens]
            x = zero_tail(upsample(F.leaky_relu(x, SLOPE)), lens)
            blocks = self.resblocks[stage * blocks_per_stage :][:blocks_per_stage]
            x = torch.stack([block(x, lens) for block in blocks]).mean(dim=0)
        waveform = torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))
        return zero_tail(waveform, lens)


def zero_tail(x: Tensor, lens: list[int] | None) -> Tensor:
    """Zero each row's padding in place; ``None`` means there is none."""
    if lens is not None:
        for row, length in enumerate(lens):
            if length < x.shape[2]:
                x[row, :, length:] = 0
    return x
