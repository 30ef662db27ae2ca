"""The two attentions of the prior encoder."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Score of a masked key. Finite, as in the reference: a fully masked row averages instead of
# giving NaN; beside one real key it is exactly zero in float32.
MASKED_SCORE = -1e4
RELATIVE_WINDOW = 4


class MultiHeadAttention(nn.Module):
    """Projections and masking common to both attentions.

    Args:
        num_channels: width of queries, keys, values and output; split over the heads.
        num_heads: number of heads.
        dropout: on the attention weights, training only.
    """

    def __init__(self, num_channels: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Conv1d(num_channels, num_channels, 1)
        self.key = nn.Conv1d(num_channels, num_channels, 1)
        self.value = nn.Conv1d(num_channels, num_channels, 1)
        self.output = nn.Conv1d(num_channels, num_channels, 1)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Attend from ``x`` to ``context``.

        Args:
            x: (batch, channel, query).
            context: (batch, channel, key).
            mask: (batch, 1, query, key), 0 where a key is hidden.

        Returns:
            (batch, channel, query).
        """
        query = self._split_heads(self.query(x))
        query = query / math.sqrt(query.shape[-1])
        key, value = self._split_heads(self.key(context)), self._split_heads(self.value(context))
        scores = query @ key.transpose(2, 3) + self.score_bias(query, key.shape[2])
        weights = scores.masked_fill(mask == 0, MASKED_SCORE).softmax(dim=-1)
        weights = F.dropout(weights, self.dropout, self.training)
        mixed = weights @ value + self.value_bias(weights)
        joined: Tensor = self.output(mixed.transpose(2, 3).flatten(1, 2))
        return joined

    def score_bias(self, query: Tensor, num_keys: int) -> Tensor | float:
        """What is added to the scores (batch, head, query, key); nothing here."""
        return 0.0

    def value_bias(self, weights: Tensor) -> Tensor | float:
        """What is added to the mixed values (batch, head, query, head_dim); nothing here."""
        return 0.0

    def _split_heads(self, x: Tensor) -> Tensor:
        """(batch, channel, time) -> (batch, head, time, head_dim)."""
        batch, channels, time = x.shape
        heads = x.reshape(batch, self.num_heads, channels // self.num_heads, time)
        return heads.transpose(2, 3)


class RelativeSelfAttention(MultiHeadAttention):
    """Self-attention with learned key and value offsets for distances of at most 4 frames.

    Shaw et al., 2018; the offsets are shared by the heads.
    """

    def __init__(self, num_channels: int, num_heads: int, dropout: float) -> None:
        super().__init__(num_channels, num_heads, dropout)
        head_dim = num_channels // num_heads
        shape = (2 * RELATIVE_WINDOW + 1, head_dim)
        self.relative_keys = nn.Parameter(torch.randn(1, *shape) * head_dim**-0.5)
        self.relative_values = nn.Parameter(torch.randn(1, *shape) * head_dim**-0.5)

    def score_bias(self, query: Tensor, num_keys: int) -> Tensor:
        by_offset = query @ self.relative_keys[0].t()
        frames = torch.arange(num_keys, device=query.device)
        offset = frames[None, :] - frames[:, None] + RELATIVE_WINDOW
        is_near = (offset >= 0) & (offset <= 2 * RELATIVE_WINDOW)
        index = offset.clamp(0, 2 * RELATIVE_WINDOW).expand(*query.shape[:2], -1, -1)
        return by_offset.gather(3, index) * is_near

    def value_bias(self, weights: Tensor) -> Tensor:
        padded = F.pad(weights, (RELATIVE_WINDOW, RELATIVE_WINDOW))
        frames = torch.arange(weights.shape[2], device=weights.device)
        window = torch.arange(2 * RELATIVE_WINDOW + 1, device=weights.device)
        index = (frames[:, None] + window).expand(*weights.shape[:2], -1, -1)
        return padded.gather(3, index) @ self.relative_values[0]
