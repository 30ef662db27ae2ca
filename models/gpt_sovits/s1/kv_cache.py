"""The keys and values of the sequences that decode together."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from models.decoding.key_runs import whole_blocks
from models.gpt_sovits.s1.config import S1Config


class KVCache:
    """One preallocated row ("slot") per sequence, filled from position 0: text, then audio.

    ``entries`` is (layer, key or value, slot, head, position, head channel), one tensor so that a
    step writes both at once. ``lengths`` is how many positions of each slot are filled,
    ``text_lengths`` how many of these are phonemes. What lies beyond is left from earlier
    sequences: finite numbers, which the mask multiplies by zero.

    Args:
        config: sizes of the network.
        num_slots: sequences that fit.
        capacity: positions per slot (phonemes + prompt + generated); rounded up to whole blocks.
        dtype: the compute dtype, so that nothing is converted on the way.
    """

    def __init__(
        self,
        config: S1Config,
        num_slots: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        if num_slots < 1 or capacity < 1:
            raise ValueError(
                f"num_slots and capacity must be 1 or more, not {num_slots} and {capacity}"
            )
        self.capacity = whole_blocks(capacity)
        head_dim = config.hidden_dim // config.num_heads
        shape = (config.num_layers, 2, num_slots, config.num_heads, self.capacity, head_dim)
        self.entries: Tensor = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = [0] * num_slots
        self.text_lengths = [0] * num_slots

    @property
    def num_slots(self) -> int:
        return len(self.lengths)

    def start(self, slot: int, text_length: int, prompt_length: int) -> None:
        """Give the slot to a new sequence whose first positions are about to be written.

        Raises:
            ValueError: the slot does not exist, or the sequence does not fit.
        """
        if not 0 <= slot < self.num_slots:
            raise ValueError(f"slot {slot} does not exist; there are {self.num_slots}")
        length = text_length + prompt_length
        if length > self.capacity:
            raise ValueError(
                f"{text_length} phonemes and {prompt_length} prompt tokens exceed the cache's "
                f"{self.capacity} positions"
            )
        self.lengths[slot] = length
        self.text_lengths[slot] = text_length

    def clear(self, slot: int) -> None:
        """Empty a slot whose entries are not finite; the next sequence's mask would not hide those.

        0 * infinity is not 0.
        """
        self.entries[:, :, slot] = 0
        self.lengths[slot] = self.text_lengths[slot] = 0

    def advance(self, slots: Sequence[int]) -> list[int]:
        """Take the next position of each slot, in order; none if one of them has none left.

        Raises:
            ValueError: a slot does not exist, holds no sequence, or is full.
        """
        for slot, num_new in Counter(slots).items():
            if not 0 <= slot < self.num_slots:
                raise ValueError(f"slot {slot} does not exist; there are {self.num_slots}")
            if self.lengths[slot] == 0:
                raise ValueError(f"slot {slot} holds no sequence; prefill first")
            if self.lengths[slot] + num_new > self.capacity:
                raise ValueError(f"slot {slot} is full: the cache holds {self.capacity} positions")
        positions = []
        for slot in slots:
            positions.append(self.lengths[slot])
            self.lengths[slot] += 1
        return positions
