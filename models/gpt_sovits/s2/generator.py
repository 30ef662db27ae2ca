"""Latent frames -> waveform: a HiFi-GAN generator conditioned on the speaker.

Kong et al., 2020, with the speaker added once, after the first convolution. Each stage multiplies
the time axis by its rate.

Layout: ``(batch, channel, time)``. For inference :meth:`Generator.use_channels_last` turns the
same layers into 2-d convolutions over ``(batch, channel, 1, time)`` whose channels lie next to each
other in memory, where bfloat16 kernels are several times faster; time stays the last axis.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
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
            # In place where the operand is fresh: these tensors are what the memory bus carries.
            y = zero_tail(dilated(F.leaky_relu(x, SLOPE)), lens)
            x = zero_tail(plain(F.leaky_relu_(y, SLOPE)).add_(x), lens)
        return x


class Generator(nn.Module):
    """Upsampling stages, each followed by parallel residual blocks (upstream ``dec``)."""

    def __init__(self, config: S2Config) -> None:
        super().__init__()
        width = config.upsample_channels
        self.rates = config.upsample_rates
        self.is_channels_last = False
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
        if self.is_channels_last:
            z, speaker = z.unsqueeze(2), speaker.unsqueeze(2)
        x = zero_tail(self.conv_pre(z) + self.speaker_in(speaker), lens)
        blocks_per_stage = len(self.resblocks) // len(self.rates)
        for stage, (rate, upsample) in enumerate(zip(self.rates, self.upsamples, strict=True)):
            lens = None if lens is None else [length * rate for length in lens]
            x = zero_tail(upsample(F.leaky_relu(x, SLOPE)), lens)
            blocks = self.resblocks[stage * blocks_per_stage :][:blocks_per_stage]
            x = sum(block(x, lens) for block in blocks) / blocks_per_stage
        waveform = torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))
        return zero_tail(waveform.squeeze(2) if self.is_channels_last else waveform, lens)

    def use_channels_last(self) -> None:
        """Switch to the inference layout, in place; the output stays the same.

        Raises:
            ValueError: weight norm has not been folded.
        """
        if any(parametrize.is_parametrized(module) for module in self.modules()):
            raise ValueError("fold weight norm before changing the layout of the weights")
        for parent in list(self.modules()):
            for name, conv in list(parent.named_children()):
                if isinstance(conv, nn.Conv1d | nn.ConvTranspose1d):
                    setattr(parent, name, _with_height(conv))
        self.is_channels_last = True


def zero_tail(x: Tensor, lens: list[int] | None) -> Tensor:
    """Zero each row's padding in place; ``None`` means there is none."""
    if lens is not None:
        for row, length in enumerate(lens):
            x[row, ..., length:] = 0
    return x


def _with_height(conv: nn.Conv1d | nn.ConvTranspose1d) -> nn.Conv2d | nn.ConvTranspose2d:
    """The 2-d convolution over height 1 that computes the same, channels last."""
    layer = nn.Conv2d if isinstance(conv, nn.Conv1d) else nn.ConvTranspose2d
    flat = layer(
        conv.in_channels,
        conv.out_channels,
        kernel_size=(1, conv.kernel_size[0]),
        stride=(1, conv.stride[0]),
        padding=(0, int(conv.padding[0])),
        dilation=(1, conv.dilation[0]),
    )
    weight = conv.weight.detach().unsqueeze(2)
    flat.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
    flat.bias = conv.bias
    return flat
