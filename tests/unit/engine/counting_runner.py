"""A runner without a model: a request is the number of tokens it yields; they count up from 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    slot: int
    token: int | None
    finish_reason: str | None


class CountingRunner:
    """Keeps a log of joins, leaves and steps.

    Args:
        num_slots: sequences at most.
        breaks: looks at (tokens so far, tokens wanted) of each slot; a step for which it is true
            raises, after every slot has lost count of its tokens.
    """

    def __init__(
        self, num_slots: int, breaks: Callable[[list[tuple[int, int]]], bool] = lambda slots: False
    ) -> None:
        self.log: list[str] = []
        self.slots: dict[int, tuple[int, int]] = {}
        self._num_slots = num_slots
        self._breaks = breaks

    def join(self, request: int) -> int:
        return self.resume(request, ())

    def resume(self, request: int, tokens: Sequence[int]) -> int:
        if request < 0:
            raise ValueError(f"cannot yield {request} tokens")
        slot = next(s for s in range(self._num_slots) if s not in self.slots)
        self.slots[slot] = (len(tokens), request)
        self.log.append(f"join {slot}")
        return slot

    def leave(self, slot: int) -> None:
        if slot not in self.slots:
            raise ValueError(f"slot {slot} holds no sequence")
        del self.slots[slot]
        self.log.append(f"leave {slot}")

    def step(self) -> list[Result]:
        if self._breaks(list(self.slots.values())):
            self.slots = dict.fromkeys(self.slots, (-1, -1))
            raise RuntimeError("out of memory")
        self.log.append(f"step {sorted(self.slots)}")
        return [self._advance(slot) for slot in sorted(self.slots)]

    def _advance(self, slot: int) -> Result:
        count, limit = self.slots[slot]
        if count == limit:
            del self.slots[slot]
            return Result(slot, None, "end")
        self.slots[slot] = (count + 1, limit)
        return Result(slot, count, None)
