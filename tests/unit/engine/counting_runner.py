"""A runner without a model: a request is the number of tokens it yields; they count up from 0."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    slot: int
    token: int | None
    finish_reason: str | None


class CountingRunner:
    """Keeps a log of joins, leaves and steps."""

    def __init__(self, num_slots: int) -> None:
        self.log: list[str] = []
        self.slots: dict[int, tuple[int, int]] = {}
        self._num_slots = num_slots
        self.fails_next_step = False

    def join(self, request: int) -> int:
        if request < 0:
            raise ValueError(f"cannot yield {request} tokens")
        slot = next(s for s in range(self._num_slots) if s not in self.slots)
        self.slots[slot] = (0, request)
        self.log.append(f"join {slot}")
        return slot

    def leave(self, slot: int) -> None:
        if slot not in self.slots:
            raise ValueError(f"slot {slot} holds no sequence")
        del self.slots[slot]
        self.log.append(f"leave {slot}")

    def step(self) -> list[Result]:
        if self.fails_next_step:
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
