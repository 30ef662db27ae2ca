"""The keys and values of the guidance pairs that decode together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from models.decoding.key_runs import whole_blocks
from models.zonos.config import BackboneConfig
from models.zonos.rotary import MAX_POSITIONS

ROWS_PER_PAIR = 2
"""The conditional and the unconditional row of a sequence."""


class PairedKVCache:
    """Two preallocated rows per slot, filled from position 0: prefix, then audio.

    ``entries`` is (layer, key or value, row, kv head, position, head channel); slot s owns rows 2s
    (conditional) and 2s + 1, which always hold equally many positions, ``lengths[s]``. Keys are
    stored turned. What lies beyond is left from earlier sequences: finite numbers, which the mask
    multiplies by zero.

    Args:
        config: sizes of the network.
        num_slots: sequences that fit.
        capacity: positions per slot (prefix + prompt + generated); rounded up to whole blocks.
        dtype: the compute dtype, so that nothing is converted on the way.

    Raises:
        ValueError: no slots, or a capacity that is not 1 to `MAX_POSITIONS`.
    """

    def __init__(
        self,
        config: BackboneConfig,
        num_slots: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        if num_slots < 1:
            raise ValueError(f"num_slots must be 1 or more, not {num_slots}")
        if not 1 <= capacity <= MAX_POSITIONS:
            raise ValueError(f"capacity must be 1 to {MAX_POSITIONS} positions, not {capacity}")
        self.capacity = whole_blocks(capacity)
        num_rows = ROWS_PER_PAIR * num_slots
        shape = (config.num_layers, 2, num_rows, config.num_kv_heads, self.capacity)
        self.entries: Tensor = torch.zeros(*shape, config.head_dim, dtype=dtype, device=device)
        self.lengths = [0] * num_slots

    @property
    def num_slots(self) -> int:
        return len(self.lengths)

    def start(self, slot: int, length: int) -> None:
        """Give the slot to a new sequence whose first positions are about to be written.

        Raises:
            ValueError: the slot does not exist, or the sequence does not fit.
        """
        self._check_slot(slot)
        if length > self.capacity:
            raise ValueError(f"{length} positions exceed the cache's {self.capacity}")
        self.lengths[slot] = length

    def clear(self, slot: int) -> None:
        """Empty a slot whose entries are not finite; the next sequence's mask would not hide those.

        0 * infinity is not 0.
        """
        self._check_slot(slot)
        self.entries[:, :, ROWS_PER_PAIR * slot : ROWS_PER_PAIR * (slot + 1)] = 0
        self.lengths[slot] = 0

    def advance(self, slots: Sequence[int]) -> list[int]:
        """Take the next position of each slot, in order; none if one of them has none left.

        Raises:
            ValueError: a slot does not exist, holds no sequence, or is full.
        """
        for slot, num_new in Counter(slots).items():
            self._check_slot(slot)
            if self.lengths[slot] == 0:
                raise ValueError(f"slot {slot} holds no sequence; prefill first")
            if self.lengths[slot] + num_new > self.capacity:
                raise ValueError(f"slot {slot} is full: the cache holds {self.capacity} positions")
        positions = []
        for slot in slots:
            positions.append(self.lengths[slot])
            self.lengths[slot] += 1
        return positions

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self.num_slots:
            raise ValueError(f"slot {slot} does not exist; there are {self.num_slots}")
