"""Rows of a step whose keys lie together in a cache, so that attention reads them as one view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Attention reads keys in blocks of this many positions, the rest of the last block masked. With
# whole blocks the CPU kernel adds up a row in the same order whatever the longest row beside it is.
KEY_BLOCK = 16


@dataclass(frozen=True)
class KeyRun:
    """Rows of a step that belong to consecutive rows of the cache.

    Attributes:
        rows: of the step.
        cache_rows: of the cache.
        num_keys: positions that are read, in whole blocks.
        mask: (row, 1, 1, key), added to the scores: minus infinity behind a row's own position.
    """

    rows: slice
    cache_rows: slice
    num_keys: int
    mask: Tensor


def consecutive_runs(
    cache_rows: Sequence[int], positions: Sequence[int], position_idx: Tensor, dtype: torch.dtype
) -> list[KeyRun]:
    """The rows of a step in as few runs as there are without a gap.

    Args:
        cache_rows: one per row of the step.
        positions: the position of each row's newest key.
        position_idx: the same, (row,) int64, on the device of the cache.
        dtype: of the mask.
    """
    starts = [row for row, c in enumerate(cache_rows) if row == 0 or c != cache_rows[row - 1] + 1]
    runs = []
    for start, stop in zip(starts, [*starts[1:], len(cache_rows)], strict=True):
        num_keys = whole_blocks(max(positions[start:stop]) + 1)
        columns = torch.arange(num_keys, device=position_idx.device)
        is_hidden = columns > position_idx[start:stop].unsqueeze(1)
        mask = torch.zeros(is_hidden.shape, dtype=dtype, device=position_idx.device)
        mask.masked_fill_(is_hidden, -torch.inf)
        of_cache = slice(cache_rows[start], cache_rows[start] + stop - start)
        runs.append(KeyRun(slice(start, stop), of_cache, num_keys, mask[:, None, None]))
    return runs


def whole_blocks(length: int) -> int:
    """The length rounded up to a multiple of ``KEY_BLOCK``."""
    return -(-length // KEY_BLOCK) * KEY_BLOCK
