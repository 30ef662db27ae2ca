"""Layers for decoding, where a handful of rows meets a large weight matrix.

On a CPU such a product is bound by reading the weights, and the default kernel also picks another
order of additions for almost every number of rows. The weights are therefore packed once for
oneDNN's blocked kernels, which read bfloat16 at half the cost and, in float32, give a row the same
bits whatever rows stand beside it, as long as there are at least two. ``tests/unit`` asserts
that on the machine it runs on.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The row count oneDNN lays the blocks out for; other row counts use the same layout.
_ROWS_TO_PACK_FOR = 8


class DecodingLinear:
    """``x @ weight.T + bias``, with ReLU where asked, for (row, in channel) inputs.

    Args:
        linear: gives the weights; it is not kept.
        dtype: float32 or bfloat16; inputs must have it too.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, has_relu: bool = False) -> None:
        weight = linear.weight.detach().to(dtype)
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype)
        self.has_relu = has_relu
        self.is_packed = weight.device.type == "cpu" and torch._C._has_mkldnn
        self.weight = _pack(weight) if self.is_packed else weight

    def __call__(self, rows: Tensor) -> Tensor:
        """(row, in channel) -> (row, out channel)."""
        if self.is_packed:
            activation = "relu" if self.has_relu else "none"
            multiply = torch.ops.mkldnn._linear_pointwise
            out: Tensor = multiply(rows, self.weight, self.bias, activation, [], "")
            return out
        product = F.linear(rows, self.weight, self.bias)
        return product.relu_() if self.has_relu else product

    def plus(self, rows: Tensor, residual: Tensor) -> Tensor:
        """``self(rows) + residual`` in one pass, without ReLU; (row, out channel)."""
        if self.is_packed:
            multiply_add = torch.ops.mkldnn._linear_pointwise.binary
            out: Tensor = multiply_add(rows, residual, self.weight, self.bias, "add")
            return out
        return F.linear(rows, self.weight, self.bias).add_(residual)


class DecodingLayerNorm:
    """Layer norm over channels, computed row by row.

    Args:
        norm: gives the weights; it is not kept.
        dtype: float32 or bfloat16; inputs must have it too.
    """

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        self.weight = norm.weight.detach().to(dtype)
        self.bias = norm.bias.detach().to(dtype)
        self.eps = norm.eps

    def __call__(self, rows: Tensor) -> Tensor:
        """(row, channel) -> (row, channel)."""
        return F.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.eps)


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS_TO_PACK_FOR)
    return packed
