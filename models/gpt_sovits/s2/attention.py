"""The attention of the prior encoder: over its own frames, and across to the phonemes."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Score of a masked key. Finite, as in the reference: a fully masked row averages instead of
# giving NaN; beside one real key it is exactly zero in float32.
MASKED_SCORE = -1e4
RELATIVE_WINDOW = 4


class RelativeOffsets(nn.Module):
    """Learned additions to keys and values for distances of at most 4 frames.

    Shaw et al., 2018; shared by the heads. Only the nine diagonals they touch are computed.
    """

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        shape = (1, 2 * RELATIVE_WINDOW + 1, head_dim)
        self.keys = nn.Parameter(torch.randn(shape) * head_dim**-0.5)
        self.values = nn.Parameter(torch.randn(shape) * head_dim**-0.5)

    def add_to_scores(self, scores: Tensor, query: Tensor) -> None:
        """Add ``query_i . keys[j - i]`` to ``scores`` (batch, head, frame, frame), in place."""
        by_offset = query @ self.keys[0].t()
        for idx, offset in enumerate(range(-RELATIVE_WINDOW, RELATIVE_WINDOW + 1)):
            diagonal = scores.diagonal(offset, 2, 3)
            first = max(0, -offset)
            diagonal += by_offset[:, :, first : first + diagonal.shape[2], idx]

    def mixed_values(self, weights: Tensor) -> Tensor:
        """``sum_j weights_ij values[j - i]``: (batch, head, frame, head_dim)."""
        band = weights.new_zeros(*weights.shape[:3], 2 * RELATIVE_WINDOW + 1)
        for idx, offset in enumerate(range(-RELATIVE_WINDOW, RELATIVE_WINDOW + 1)):
            diagonal = weights.diagonal(offset, 2, 3)
            first = max(0, -offset)
            band[:, :, first : first + diagonal.shape[2], idx] = diagonal
        return band @ self.values[0]


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention between (batch, channel, time) sequences.

    Args:
        num_channels: width of queries, keys, values and output; split over the heads.
        num_heads: number of heads.
        dropout: on the attention weights, training only.
        is_relative: learn relative offsets; for self-attention only.
    """

    def __init__(
        self, num_channels: int, num_heads: int, dropout: float = 0.0, is_relative: bool = False
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Conv1d(num_channels, num_channels, 1)
        self.key = nn.Conv1d(num_channels, num_channels, 1)
        self.value = nn.Conv1d(num_channels, num_channels, 1)
        self.output = nn.Conv1d(num_channels, num_channels, 1)
        self.offsets = RelativeOffsets(num_channels // num_heads) if is_relative else None

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Attend from ``x`` to ``context``.

        Args:
            x: (batch, channel, query).
            context: (batch, channel, key); ``x`` itself with relative offsets.
            mask: (batch, 1, query, key), 0 where a key is hidden.

        Returns:
            (batch, channel, query).
        """
        query = self._split_heads(self.query(x))
        query = query / math.sqrt(query.shape[-1])
        key, value = self._split_heads(self.key(context)), self._split_heads(self.value(context))
        scores = query @ key.transpose(2, 3)
        if self.offsets is not None:
            self.offsets.add_to_scores(scores, query)
        weights = scores.masked_fill(mask == 0, MASKED_SCORE).softmax(dim=-1)
        weights = F.dropout(weights, self.dropout, self.training)
        mixed = weights @ value
        if self.offsets is not None:
            mixed = mixed + self.offsets.mixed_values(weights)
        joined: Tensor = self.output(mixed.transpose(2, 3).flatten(1, 2))
        return joined

    def _split_heads(self, x: Tensor) -> Tensor:
        """(batch, channel, time) -> (batch, head, time, head_dim)."""
        batch, channels, time = x.shape
        heads = x.reshape(batch, self.num_heads, channels // self.num_heads, time)
        return heads.transpose(2, 3)
