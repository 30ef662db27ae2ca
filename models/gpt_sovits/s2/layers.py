"""Convolutions with weight normalisation, channel layer norm and masks shared by S2's networks.

Layout: convolution stacks use ``(batch, channel, time)``; masks are ``(batch, 1, time)`` floats,
1 where a frame is real.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WeightNorm(nn.Module):
    """A convolution whose weight is stored as magnitude and direction: ``w = g * v / ||v||``.

    The norm runs over all dimensions but the first (Salimans and Kingma, 2016), which for a
    transposed convolution is the input channel. The two tensors keep the names of published
    checkpoints, ``weight_g`` and ``weight_v``; :meth:`fold` gives the plain layer for inference.
    """

    def __init__(self, conv: nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d) -> None:
        super().__init__()
        weight = conv.weight.detach()
        self.weight_g = nn.Parameter(_norm(weight))
        self.weight_v = nn.Parameter(weight.clone())
        self.bias = conv.bias
        del conv.weight
        conv.bias = None
        # Kept out of the module tree: it holds geometry, no tensors.
        object.__setattr__(self, "_conv", conv)

    def weight(self) -> Tensor:
        """The effective weight."""
        return self.weight_v * (self.weight_g / _norm(self.weight_v))

    def forward(self, x: Tensor) -> Tensor:
        return _FUNCTIONS[type(self._geometry())](x, self.weight(), self.bias, self._geometry())

    def fold(self) -> nn.Module:
        """The plain convolution with the effective weight, equal in output."""
        geometry = self._geometry()
        plain = _rebuild(geometry, has_bias=self.bias is not None)
        with torch.no_grad():
            plain.weight.copy_(self.weight())
            if self.bias is not None and plain.bias is not None:
                plain.bias.copy_(self.bias)
        return plain.to(self.weight_v)

    def _geometry(self) -> Any:
        return self.__dict__["_conv"]
