"""Rotary position embedding: pairs of channels turned by an angle that grows with the position."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_POSITIONS = 16_384
"""Prefix and audio together; the length of the published network's table."""

_BASE = 10_000.0


class RotaryTable:
    """Cosine and sine of every position's angles, (position, pair) float32.

    A table, because a cosine computed for a few positions can differ in the last bit from one
    computed for many.

    Args:
        head_dim: channels of a head; all are turned.
        device: where the table and what it turns are.
    """

    def __init__(self, head_dim: int, device: torch.device) -> None:
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32)[: head_dim // 2] / head_dim
        angles = torch.outer(torch.arange(MAX_POSITIONS).float(), 1.0 / _BASE**exponents)
        self.cos = angles.cos().to(device)
        self.sin = angles.sin().to(device)

    def turn(self, vectors: Tensor, positions: Tensor) -> Tensor:
        """Turn neighbouring channels (2i, 2i + 1) as one pair, in float32.

        Args:
            vectors: (..., row, head, channel).
            positions: (row,) int64 in [0, `MAX_POSITIONS`).

        Returns:
            The same shape and dtype.
        """
        cos, sin = self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)
        even, odd = vectors.float().unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
        return turned.flatten(-2).to(vectors.dtype)
