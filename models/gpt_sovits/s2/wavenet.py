"""The speaker-conditioned WaveNet of the flow and the posterior encoder."""

import torch
from torch import Tensor, nn

from models.gpt_sovits.s2.layers import weight_norm_conv1d


class WaveNet(nn.Module):
    """Gated convolutions with residual and skip paths (van den Oord et al., 2016), no dilation.

    A layer computes ``tanh(a) * sigmoid(b)`` of its convolution plus the speaker's slice; the
    output is the sum of the skips.

    Args:
        num_channels: width in and out.
        kernel_size: odd.
        num_layers: number of layers.
        speaker_dim: channels of the speaker embedding.
    """

    def __init__(
        self, num_channels: int, kernel_size: int, num_layers: int, speaker_dim: int
    ) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.speaker_in = weight_norm_conv1d(speaker_dim, 2 * num_channels * num_layers, 1)
        self.gates = nn.ModuleList(
            weight_norm_conv1d(num_channels, 2 * num_channels, kernel_size)
            for _ in range(num_layers)
        )
        # The last layer has no residual path to feed.
        self.res_skips = nn.ModuleList(
            weight_norm_conv1d(
                num_channels, num_channels * (1 if layer == num_layers - 1 else 2), 1
            )
            for layer in range(num_layers)
        )

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        """Map (batch, channel, time) to the same shape, given (batch, speaker_dim, 1)."""
        conditions = self.speaker_in(speaker).chunk(len(self.gates), dim=1)
        skips = torch.zeros_like(x)
        for gate, res_skip, condition in zip(self.gates, self.res_skips, conditions, strict=True):
            filtered, opened = (gate(x) + condition).chunk(2, dim=1)
            out = res_skip(torch.tanh(filtered) * torch.sigmoid(opened))
            skips = skips + out[:, -self.num_channels :]
            if out.shape[1] > self.num_channels:
                x = (x + out[:, : self.num_channels]) * mask
        return skips * mask
