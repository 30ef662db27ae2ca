"""The engine: one `step` is schedule, run, deliver."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from deployments.engine.batching.priority import Priority
from deployments.engine.batching.scheduler import QueueFull, Scheduler
from deployments.engine.batching.sequence import FinishReason, Request, Sequence, State, Token

__all__ = ["BatchingEngine", "Event", "NotFinite", "QueueFull", "Runner", "RunnerResult"]

MAX_BREAKS = 3
"""Broken steps that a sequence may take part in without being the one that breaks them."""


Request_contra = TypeVar("Request_contra", contravariant=True)
Token_co = TypeVar("Token_co", covariant=True)


class RunnerResult(Protocol[Token_co]):
    """What a step did to the sequence in one slot."""

    @property
    def slot(self) -> int: ...

    @property
    def token(self) -> Token_co | None:
        """None when the sequence ended without a further token."""

    @property
    def finish_reason(self) -> str | None:
        """None while it goes on; "end", "length" when it may not grow further, or "not_finite"
        when what was computed for it is no number; that is its end as well."""


class Runner(Protocol[Request_contra, Token]):
    """Computes the sequences of one checkpoint, each in a slot of its own."""

    def join(self, request: Request_contra) -> int:
        """Prefill; the slot it got. `ValueError` if the request is malformed or does not fit."""

    def resume(self, request: Request_contra, tokens: SequenceOf[Token]) -> int:
        """`join`, and go on behind all tokens that the sequence has, as if it never stopped."""

    def leave(self, slot: int) -> None:
        """Free a slot whose sequence has not ended; `ValueError` if there is none."""

    def step(self) -> SequenceOf[RunnerResult[Token]]:
        """A token each for all sequences, or some of them; those that end free their slots."""


@dataclass(frozen=True)
class Event(Generic[Token]):
    """What a step brought one sequence: a token, its end, or both at once."""

    sequence_id: str
    token: Token | None = None
    finish_reason: FinishReason | None = None
    error: Exception | None = None


class NotFinite(Exception):
    """What was computed for a sequence is no number; it takes finite weights that overflow."""


class BatchingEngine(Generic[Request, Token]):
    """Runs sequences of several checkpoints on one device. Not thread-safe; one thread steps it.

    When a step raises, its sequences take a step each alone, from the tokens they have: whose step
    raises then fails, and the others go on together, with the tokens they would have had.

    Args:
        max_waiting: sequences that may wait for others to end, over all groups.
        is_stuck: looks at all tokens of a sequence and says whether it will never end.
    """

    def __init__(
        self, max_waiting: int, is_stuck: Callable[[SequenceOf[Token]], bool] | None = None
    ) -> None:
        self._is_stuck = is_stuck
        self._scheduler: Scheduler[Request, Token] = Scheduler(max_waiting)
        self._runners: dict[str, Runner[Request, Token]] = {}
        self._sequences: dict[str, Sequence[Request, Token]] = {}

    @property
    def num_waiting(self) -> int:
        return self._scheduler.num_waiting

    @property
    def num_running(self) -> int:
        return self._scheduler.num_running

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._sequences)

    def add_group(self, name: str, runner: Runner[Request, Token], num_slots: int) -> None:
        """Serve one more checkpoint; `ValueError` if the name is taken."""
        self._scheduler.add_group(name, num_slots)
        self._runners[name] = runner

    def remove_group(self, name: str) -> None:
        """Stop serving a checkpoint; `ValueError` while sequences of it wait or run."""
        self._scheduler.remove_group(name)
        del self._runners[name]

    def submit(
        self,
        sequence_id: str,
        group: str,
        request: Request,
        prefix: SequenceOf[Token] = (),
        priority: Priority = "interactive",
    ) -> None:
        """Let a request wait for a slot.

        Args:
            sequence_id: names it in events; unique among those not yet ended.
            group: its checkpoint.
            request: handed to the runner as it is.
            prefix: tokens it generated before; the loop detector sees them too.
            priority: whether somebody listens.

        Raises:
            QueueFull: too many wait already.
            ValueError: an unknown group, or an id in use.
        """
        if sequence_id in self._sequences:
            raise ValueError(f"sequence {sequence_id!r} is in the engine already")
        sequence = Sequence[Request, Token](sequence_id, group, request, list(prefix), priority)
        self._scheduler.enqueue(sequence)
        self._sequences[sequence_id] = sequence

    def cancel(self, sequence_id: str) -> bool:
        """Drop a sequence and free its slot at once; False if it has ended already."""
        sequence = self._sequences.get(sequence_id)
        if sequence is None:
            return False
        self._abandon(sequence, "cancelled")
        return True

    def step(self) -> list[Event[Token]]:
        """Let the group whose turn it is take in one sequence and compute one token each."""
        group = self._scheduler.next_group()
        if group is None:
            return []
        events = self._admit_one(group)
        running = self._scheduler.running_in(group)
        if not running:
            return events
        try:
            results = self._runners[group].step()
        except Exception as error:
            return events + self._step_apart(list(running.values()), error)
        return events + [self._deliver(running[result.slot], result) for result in results]

    def _admit_one(self, group: str) -> list[Event[Token]]:
        sequence = self._scheduler.next_to_join(group)
        if sequence is None:
            return []
        try:
            self._start(sequence)
        except Exception as error:
            return [self._refuse(sequence, error)]
        return []

    def _start(self, sequence: Sequence[Request, Token]) -> None:
        runner, request = self._runners[sequence.group], sequence.request
        is_new = sequence.num_breaks == 0
        slot = runner.join(request) if is_new else runner.resume(request, sequence.tokens)
        self._scheduler.started(sequence, slot)

    def _step_apart(
        self, members: list[Sequence[Request, Token]], error: Exception
    ) -> list[Event[Token]]:
        """After a step of theirs broke: each alone, so that only those fail that break it."""
        for sequence in members:
            self._suspend(sequence)
        if len(members) == 1:
            return [self._refuse(members[0], error)]
        # From the last to the first, as each goes to the front of those who wait.
        return [
            event for sequence in reversed(members) for event in self._step_alone(sequence, error)
        ]

    def _step_alone(
        self, sequence: Sequence[Request, Token], error: Exception
    ) -> list[Event[Token]]:
        sequence.num_breaks += 1
        if sequence.num_breaks > MAX_BREAKS:
            return [self._refuse(sequence, error)]
        try:
            self._start(sequence)
            results = self._runners[sequence.group].step()
        except Exception as own_error:
            if sequence.state is State.RUNNING:
                self._suspend(sequence)
            return [self._refuse(sequence, own_error)]
        events = [self._deliver(sequence, result) for result in results]
        if sequence.state is State.RUNNING:
            self._suspend(sequence)
            self._scheduler.put_back(sequence)
        return events

    def _suspend(self, sequence: Sequence[Request, Token]) -> None:
        """Take a sequence out of a batch that broke, half-way perhaps, or of its own step."""
        with suppress(ValueError):  # it may have left its slot before the step broke
            self._runners[sequence.group].leave(_slot_of(sequence))
        self._scheduler.suspend(sequence)

    def _refuse(self, sequence: Sequence[Request, Token], error: Exception) -> Event[Token]:
        """Fail a sequence that neither waits nor has a slot: nobody else is affected."""
        sequence.finish("failed")
        del self._sequences[sequence.sequence_id]
        return Event(sequence.sequence_id, None, "failed", error)

    def _deliver(
        self, sequence: Sequence[Request, Token], result: RunnerResult[Token]
    ) -> Event[Token]:
        if result.finish_reason == "not_finite":
            self._end(sequence, "failed")
            error = NotFinite("what was computed is no number")
            return Event(sequence.sequence_id, None, "failed", error)
        if result.token is not None:
            sequence.tokens.append(result.token)
        if result.finish_reason is not None:
            reason: FinishReason = "stop" if result.finish_reason == "end" else "length"
            self._end(sequence, reason)
        elif self._is_stuck is not None and self._is_stuck(sequence.tokens):
            self._abandon(sequence, "loop")
        return Event(sequence.sequence_id, result.token, sequence.finish_reason)

    def _abandon(self, sequence: Sequence[Request, Token], reason: FinishReason) -> None:
        """End a sequence that the runner does not know to have ended."""
        if sequence.state is State.RUNNING:
            self._runners[sequence.group].leave(_slot_of(sequence))
        self._end(sequence, reason)

    def _end(self, sequence: Sequence[Request, Token], reason: FinishReason) -> None:
        self._scheduler.release(sequence)
        sequence.finish(reason)
        del self._sequences[sequence.sequence_id]


def _slot_of(sequence: Sequence[Request, Token]) -> int:
    assert sequence.slot is not None  # every running sequence has one
    return sequence.slot
