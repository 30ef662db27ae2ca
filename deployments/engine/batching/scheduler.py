"""Who computes next. Pure bookkeeping: no tensors, no threads, no clock.

Groups take turns: one step each, in a circle of the groups that have work. Before a group's step,
at most one of its waiting sequences joins, so that a decoding sequence never waits for more than
one prefill between two of its tokens. Within a group interactive sequences join first (see
`WaitingLine`), and batch ones never hold all slots, so that a listener need not wait for their end.
"""

from __future__ import annotations

from collections import deque
from typing import Generic

from deployments.engine.batching.priority import Priority, WaitingLine
from deployments.engine.batching.sequence import Request, Sequence, State, Token


class QueueFull(Exception):
    """As many sequences wait as may wait. One positional argument, so that it can be pickled."""


class _Group(Generic[Request, Token]):
    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self.waiting: WaitingLine[Sequence[Request, Token]] = WaitingLine()
        self.running: dict[int, Sequence[Request, Token]] = {}

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    @property
    def num_beyond_slots(self) -> int:
        """Sequences that wait for another to end, not just for their turn to join."""
        return max(0, len(self.waiting) + len(self.running) - self.num_slots)

    @property
    def is_full(self) -> bool:
        return len(self.waiting) + len(self.running) >= self.num_slots

    def may_join(self, priority: Priority) -> bool:
        """Whether there is a slot for one more of this priority."""
        num_batch = sum(sequence.priority == "batch" for sequence in self.running.values())
        is_reserved = priority == "batch" and num_batch >= max(1, self.num_slots - 1)
        return len(self.running) < self.num_slots and not is_reserved


class Scheduler(Generic[Request, Token]):
    """Queues and slots of all groups.

    Args:
        max_waiting: sequences that may wait for others to end, over all groups.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._groups: dict[str, _Group[Request, Token]] = {}
        self._turns: deque[str] = deque()

    @property
    def num_waiting(self) -> int:
        return sum(len(group.waiting) for group in self._groups.values())

    @property
    def num_running(self) -> int:
        return sum(len(group.running) for group in self._groups.values())

    @property
    def groups(self) -> list[str]:
        """Names of all groups, in the order of their turns."""
        return list(self._turns)

    def add_group(self, name: str, num_slots: int) -> None:
        """Make room for sequences of one more checkpoint.

        Raises:
            ValueError: the group exists, or has no slots.
        """
        if name in self._groups:
            raise ValueError(f"group {name!r} exists already")
        if num_slots < 1:
            raise ValueError(f"group {name!r} needs at least one slot, got {num_slots}")
        self._groups[name] = _Group(num_slots)
        self._turns.append(name)

    def remove_group(self, name: str) -> None:
        """Forget a group that has no work.

        Raises:
            ValueError: sequences of it wait or run.
        """
        if self._group(name).has_work:
            raise ValueError(f"group {name!r} still has sequences")
        del self._groups[name]
        self._turns.remove(name)

    def enqueue(self, sequence: Sequence[Request, Token]) -> None:
        """Let a sequence wait for its turn.

        Raises:
            QueueFull: too many wait already.
            ValueError: its group does not exist.
        """
        group = self._group(sequence.group)
        num_beyond_slots = sum(group.num_beyond_slots for group in self._groups.values())
        if group.is_full and num_beyond_slots >= self._max_waiting:
            raise QueueFull(f"{self._max_waiting} sequences wait already")
        group.waiting.append(sequence, sequence.priority)

    def next_group(self) -> str | None:
        """The group whose turn it is, None if no group has work; moves it to the end."""
        for _ in range(len(self._turns)):
            name = self._turns[0]
            self._turns.rotate(-1)
            if self._groups[name].has_work:
                return name
        return None

    def next_to_join(self, name: str) -> Sequence[Request, Token] | None:
        """Take the waiting sequence of a group whose turn it is, if there is a slot for it."""
        group = self._group(name)
        return group.waiting.take(group.may_join)

    def started(self, sequence: Sequence[Request, Token], slot: int) -> None:
        """A sequence that was taken has joined the batch in `slot`."""
        sequence.start(slot)
        self._group(sequence.group).running[slot] = sequence

    def running_in(self, name: str) -> dict[int, Sequence[Request, Token]]:
        """The running sequences of a group by slot; a copy."""
        return dict(self._group(name).running)

    def suspend(self, sequence: Sequence[Request, Token]) -> None:
        """A sequence that runs has lost its slot; it waits nowhere until it is put back."""
        self.release(sequence)
        sequence.wait_again()

    def put_back(self, sequence: Sequence[Request, Token]) -> None:
        """Let a suspended sequence wait again, before all others of its priority."""
        self._group(sequence.group).waiting.insert(0, sequence, sequence.priority)

    def release(self, sequence: Sequence[Request, Token]) -> None:
        """Forget a sequence that waits or runs; its slot can be taken at once."""
        group = self._group(sequence.group)
        if sequence.state is State.WAITING:
            group.waiting.remove(sequence)
        elif sequence.slot is not None:
            del group.running[sequence.slot]

    def _group(self, name: str) -> _Group[Request, Token]:
        try:
            return self._groups[name]
        except KeyError:
            known = ", ".join(self._groups) or "none"
            raise ValueError(f"no group is called {name!r}; there are: {known}") from None
