"""Small parts shared by S2's networks: masks, channel layer norm, weight normalisation.

Layout: convolution stacks use ``(batch, channel, time)``; masks are ``(batch, 1, time)`` floats,
1 where a frame is real and 0 where it is padding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm


def length_mask(lens: Tensor, num_frames: int) -> Tensor:
    """1 for the first ``lens[i]`` frames of row ``i``.

    Args:
        lens: (batch,) int64.
        num_frames: width of the mask.

    Returns:
        (batch, 1, num_frames) float32.
    """
    frames = torch.arange(num_frames, device=lens.device)
    return (frames < lens[:, None]).unsqueeze(1).to(torch.float32)


class ChannelLayerNorm(nn.Module):
    """Layer norm over the channels of ``(batch, channel, time)``."""

    def __init__(self, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(num_channels))
        self.beta = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.transpose(1, 2), self.gamma.shape, self.gamma, self.beta, self.eps)
        return x.transpose(1, 2)


def same_padding(kernel_size: int, dilation: int = 1) -> int:
    """Padding that keeps the length of a stride-1 convolution with an odd kernel."""
    return (kernel_size - 1) * dilation // 2


def weight_norm_conv1d(
    in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1
) -> nn.Module:
    """A length-preserving Conv1d with ``w = g * v / ||v||`` (Salimans and Kingma, 2016)."""
    padding = same_padding(kernel_size, dilation)
    conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, padding=padding)
    normed: nn.Module = weight_norm(conv)
    return normed


def fold_weight_norm(module: nn.Module) -> None:
    """Replace magnitude and direction by the effective weight, in place, for inference.

    The output stays the same; the keys of the state dict change, so fold after loading.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv1d | nn.ConvTranspose1d) and (
                parametrize.is_parametrized(child, "weight")
            ):
                setattr(parent, name, _plain(child))


def _plain(conv: nn.Conv1d | nn.ConvTranspose1d) -> nn.Conv1d | nn.ConvTranspose1d:
    """A new convolution with the effective weight.

    ``remove_parametrizations`` would edit the class, which copies of a module share: folding one
    would break the other.
    """
    layer = nn.Conv1d if isinstance(conv, nn.Conv1d) else nn.ConvTranspose1d
    plain = layer(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size[0],
        stride=conv.stride[0],
        padding=int(conv.padding[0]),
        dilation=conv.dilation[0],
    )
    plain.weight = nn.Parameter(conv.weight.detach().clone())
    plain.bias = conv.bias
    return plain
