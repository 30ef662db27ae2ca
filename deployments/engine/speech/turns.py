"""Whose audio S2 makes next. Pure bookkeeping over slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from deployments.engine.batching.priority import Priority, WaitingLine


class Turns:
    """The slots that have windows left, in the order in which they are decoded.

    Listeners come before work that nobody listens to, as in every `WaitingLine`. Within a priority
    those without audio so far come before the others, which take turns. Newcomers that are done
    with one window could keep the others waiting for ever, so after as many as there are slots one
    of the others comes first.

    Args:
        num_slots: in all.
    """

    def __init__(self, num_slots: int) -> None:
        self._num_slots = num_slots
        self._line: WaitingLine[int] = WaitingLine()
        self._priorities: dict[int, Priority] = {}
        self._newcomers: set[int] = set()
        self._num_newcomers_in_a_row: Counter[Priority] = Counter()

    def __iter__(self) -> Iterator[int]:
        return iter(self._line)

    def join(self, slot: int, priority: Priority) -> None:
        """A slot has its first windows."""
        is_first = self._num_newcomers_in_a_row[priority] < self._num_slots
        self._line.insert(0 if is_first else 1, slot, priority)
        self._priorities[slot] = priority
        self._newcomers.add(slot)

    def leave(self, slot: int) -> None:
        """A slot has no windows any more."""
        self._line.remove(slot)
        del self._priorities[slot]
        self._newcomers.discard(slot)

    def take(self, num_slots: int) -> list[int]:
        """The slots whose turn it is, up to so many; their next turn is behind all others."""
        taken: list[int] = []
        while len(taken) < num_slots and (slot := self._line.take()) is not None:
            taken.append(slot)
        for slot in taken:
            self._line.append(slot, self._priorities[slot])
        self._count_newcomers(taken)
        return taken

    def _count_newcomers(self, taken: list[int]) -> None:
        for priority in {self._priorities[slot] for slot in taken}:
            of_priority = {slot for slot in taken if self._priorities[slot] == priority}
            if of_priority <= self._newcomers:
                self._num_newcomers_in_a_row[priority] += 1
            else:
                self._num_newcomers_in_a_row[priority] = 0
        self._newcomers.difference_update(taken)
