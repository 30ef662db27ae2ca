"""Who waits for what, and who goes first: listeners before work that nobody listens to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Literal, TypeVar, get_args

Priority = Literal["interactive", "batch"]
"""`interactive`: somebody listens now. `batch`: the result is kept, and may take its time."""

MAX_OVERTAKEN = 4
"""Interactive ones that may go before a batch one that waits; then it is its turn."""

Item = TypeVar("Item")


class WaitingLine(Generic[Item]):
    """First come, first served within a priority; interactive before batch, but not for ever.

    Batch work that waits gets at least one turn in `max_overtaken + 1`, however many listeners
    come. Counted in turns, not in seconds, so that the order is a function of what came when.

    Args:
        max_overtaken: interactive ones that may be taken one after another while batch waits.
    """

    def __init__(self, max_overtaken: int = MAX_OVERTAKEN) -> None:
        self._max_overtaken = max_overtaken
        self._lines: dict[Priority, deque[Item]] = {
            priority: deque() for priority in get_args(Priority)
        }
        self._num_overtaken = 0

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[Item]:
        return (item for line in self._lines.values() for item in line)

    def append(self, item: Item, priority: Priority) -> None:
        """Wait behind all others of this priority."""
        self._lines[priority].append(item)

    def insert(self, place: int, item: Item, priority: Priority) -> None:
        """Wait in front of others of this priority, behind the first `place` of them."""
        self._lines[priority].insert(place, item)

    def remove(self, item: Item) -> None:
        """Stop waiting; `ValueError` for one that does not."""
        for line in self._lines.values():
            if item in line:
                line.remove(item)
                return
        raise ValueError(f"{item!r} does not wait")

    def take(self, may_go: Callable[[Priority], bool] = lambda priority: True) -> Item | None:
        """The one whose turn it is, among those whose priority may go; None if there is none."""
        is_batch_due = self._num_overtaken >= self._max_overtaken
        order: tuple[Priority, ...] = ("batch", "interactive")
        for priority in order if is_batch_due else reversed(order):
            if self._lines[priority] and may_go(priority):
                is_overtaking = priority == "interactive" and self._lines["batch"]
                self._num_overtaken = self._num_overtaken + 1 if is_overtaking else 0
                return self._lines[priority].popleft()
        return None
