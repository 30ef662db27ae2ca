"""Attention over a batch whose rows have caches of their own, of different lengths.

The usual way pads all rows to the longest, and then a row's sums depend on its neighbours. Here a
row attends to its own cache alone, so that it computes the same whatever is beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Cache, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward


class RowCaches(Cache):
    """The caches of a batch's rows, seen by the model as one.

    Args:
        caches: of the first rows; further rows are padding, which is neither kept nor attended to.
    """

    def __init__(self, caches: Sequence[DynamicCache]) -> None:
        super().__init__(layers=[])
        self._caches = tuple(caches)

    def positions(self, num_rows: int, num_tokens: int) -> Tensor:
        """Where the next `num_tokens` of every row stand: `(row, time)`; padding is at 0."""
        starts = [cache.get_seq_length() for cache in self._caches]
        starts += [0] * (num_rows - len(starts))
        return torch.tensor(starts)[:, None] + torch.arange(num_tokens)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Unused: positions are given by row."""
        return 0

    def update(  # type: ignore[override]  # what comes back goes to `attend_by_rows` alone
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Add `(row, head, time, channel)` to the rows' caches; each row's keys and values."""
        found = [
            cache.update(key_states[row : row + 1], value_states[row : row + 1], layer_idx)
            for row, cache in enumerate(self._caches)
        ]
        return [keys for keys, _ in found], [values for _, values in found]


def attend_by_rows(
    module: nn.Module,
    query: Tensor,
    key: list[Tensor],
    value: list[Tensor],
    attention_mask: None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention of each row over its own keys; zero for padding.

    Args:
        query: `(row, head, time, channel)`; `key` and `value` hold `(1, head, time, channel)` for
            each row that is no padding, the tokens of `query` last.

    Returns:
        `(row, time, head, channel)`, and no weights.
    """
    attended = torch.zeros_like(query.transpose(1, 2))
    for row, (keys, values) in enumerate(zip(key, value, strict=True)):
        attended[row], _ = sdpa_attention_forward(
            module,
            query[row : row + 1],
            keys,
            values,
            _causal_mask(query.shape[2], keys.shape[2], sliding_window),
            is_causal=False,
            **kwargs,
        )
    return attended, None


def _causal_mask(num_queries: int, num_keys: int, sliding_window: int | None) -> Tensor | None:
    """True where a query may look: `(query, key)`; None where one query may look everywhere."""
    if num_queries == 1:  # a sliding layer's cache keeps what is inside of the window alone
        return None
    queries = torch.arange(num_keys - num_queries, num_keys)[:, None]
    distance = queries - torch.arange(num_keys)
    is_seen = distance >= 0
    return is_seen if sliding_window is None else is_seen & (distance < sliding_window)


AttentionInterface.register(attend_by_rows.__name__, attend_by_rows)
