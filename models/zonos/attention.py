"""How the rows of a prefill, or of a step, meet the keys and values of one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from models.decoding.key_runs import consecutive_runs
from models.zonos.kv_cache import ROWS_PER_PAIR, PairedKVCache
from models.zonos.rotary import RotaryTable


class CachedAttention(Protocol):
    """Takes (row, head, channel) queries and (row, kv head, channel) keys and values, not turned.

    Gives (row, head, channel).
    """

    def __call__(self, layer_idx: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor: ...


class PrefillAttention:
    """All positions of one new pair among themselves; fills its slot.

    Rows are the positions of the conditional half, then those of the other.
    """

    def __init__(
        self, cache: PairedKVCache, rotary: RotaryTable, slot: int, num_positions: int
    ) -> None:
        self.cache = cache
        self.rotary = rotary
        self.rows = slice(ROWS_PER_PAIR * slot, ROWS_PER_PAIR * (slot + 1))
        self.num_positions = num_positions
        self.positions = torch.arange(num_positions, device=cache.entries.device)

    def __call__(self, layer_idx: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key = self._turned(query), self._turned(key)
        value = self._by_head(value)
        entries = self.cache.entries[layer_idx, :, self.rows, :, : self.num_positions]
        entries[0], entries[1] = key, value
        attended: Tensor = F.scaled_dot_product_attention(
            query, key, value, is_causal=True, enable_gqa=True
        )
        return attended.transpose(1, 2).flatten(0, 1)

    def _turned(self, rows: Tensor) -> Tensor:
        by_row = rows.unflatten(0, (ROWS_PER_PAIR, -1))
        return self.rotary.turn(by_row, self.positions).transpose(1, 2)

    def _by_head(self, rows: Tensor) -> Tensor:
        """(row and position, head, channel) -> (row, head, position, channel)."""
        by_head: Tensor = rows.unflatten(0, (ROWS_PER_PAIR, -1)).transpose(1, 2)
        return by_head


class DecodeAttention:
    """Every row against its own cache row up to its own position; each sequence has two rows.

    Args:
        slots: one per sequence; a slot that stands there twice gets two positions, in order.
        positions: where each sequence's new entries go.
        num_padding: rows behind the sequences' that belong to nobody.
    """

    def __init__(
        self,
        cache: PairedKVCache,
        rotary: RotaryTable,
        slots: Sequence[int],
        positions: Sequence[int],
        num_padding: int,
    ) -> None:
        self.cache = cache
        self.rotary = rotary
        device = cache.entries.device
        rows = [row for slot in slots for row in (ROWS_PER_PAIR * slot, ROWS_PER_PAIR * slot + 1)]
        positions = [position for position in positions for _ in range(ROWS_PER_PAIR)]
        self.num_rows = len(rows)
        self.num_padding = num_padding
        self.row_idx = torch.tensor(rows, device=device)
        self.position_idx = torch.tensor(positions, device=device)
        self.turned_by = F.pad(self.position_idx, (0, num_padding))
        self.runs = consecutive_runs(rows, positions, self.position_idx, cache.entries.dtype)

    def __call__(self, layer_idx: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query = self.rotary.turn(query, self.turned_by)
        key = self.rotary.turn(key, self.turned_by)
        keys, values = self.cache.entries[layer_idx]
        keys[self.row_idx, :, self.position_idx] = key[: self.num_rows]
        values[self.row_idx, :, self.position_idx] = value[: self.num_rows]
        # Query heads that share a key head stand where the queries of a longer text would.
        grouped = query.unflatten(1, (keys.shape[1], -1))
        attended = [
            F.scaled_dot_product_attention(
                grouped[run.rows],
                keys[run.cache_rows, :, : run.num_keys],
                values[run.cache_rows, :, : run.num_keys],
                run.mask,
            )
            for run in self.runs
        ]
        if self.num_padding:
            attended.append(torch.zeros_like(grouped[self.num_rows :]))
        return torch.cat(attended).flatten(1, 2)
