"""One request's state while it waits, runs and ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Literal, TypeVar

from deployments.engine.batching.priority import Priority

Request = TypeVar("Request")
Token = TypeVar("Token")

FinishReason = Literal["stop", "length", "loop", "cancelled", "failed"]


class State(Enum):
    """Where a sequence is; it moves down this list, and back once if its batch breaks."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass
class Sequence(Generic[Request, Token]):
    """A request on its way through the engine.

    Args:
        sequence_id: unique within the engine.
        group: the checkpoint it runs on; sequences of one group share steps.
        request: what the runner needs to begin; the engine does not look inside.
        tokens: generated so far, a prefix that was generated earlier included.
        priority: whose turn it is to join.
        num_breaks: steps that broke while it took part, though not over it alone.
    """

    sequence_id: str
    group: str
    request: Request
    tokens: list[Token] = field(default_factory=list)
    priority: Priority = "interactive"
    num_breaks: int = 0
    state: State = State.WAITING
    slot: int | None = None
    finish_reason: FinishReason | None = None

    def start(self, slot: int) -> None:
        """The runner gave it a slot."""
        self.state = State.RUNNING
        self.slot = slot

    def wait_again(self) -> None:
        """It has lost its slot and goes on later."""
        self.state = State.WAITING
        self.slot = None

    def finish(self, reason: FinishReason) -> None:
        """It has ended and holds no slot."""
        self.state = State.FINISHED
        self.slot = None
        self.finish_reason = reason
