"""Who is let in: decided once, before any stage is called, from the audio that is queued.

A request that was let in never meets a full stage later: the builder checks that the stages take
as many segments at once as all requests together may have there (`AppArgs`).

Several replicas of the ingress share the bound without talking to each other: each lets in its
share, `max_queued_audio_s / n` seconds and `max_requests // n` requests, but always one request. So
all together stay within the bound however Serve spreads requests over them, as long as there are no
more replicas than requests and a share holds one request (`MAX_COUNTED_S`); where the spread is
uneven, one refuses while another has room. When replicas come or go, the shares follow within a
second or so.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from ray import serve

from deployments.args import StrictArgs
from deployments.driver.iteration import closing
from deployments.errors import Overloaded
from deployments.jobs.places import MAX_UNFINISHED

SECONDS_PER_CHAR = 0.17
"""Speech per written character. Korean is read at 5 to 7 syllables a second, one a character; a
digit is read as one or two."""

MAX_COUNTED_S = 12.0
"""A request has two segments in production at a time, so a long text does not push others further
back than two sentences do, and counts for no more."""

SEGMENTS_PER_REQUEST = 2
"""Segments that one request may have in the stages: the one it hears and the one after it."""

LINE_AUDIO_S = 20.0
"""What a character's line counts for before it is written: a long one."""

_DRAINED_PER_S = 4.0
"""Seconds of audio that leave the queue in a second, for `Retry-After`: a guess to come back by."""


class AdmissionArgs(StrictArgs):
    """How much may be queued in the whole service."""

    max_queued_audio_s: float = Field(
        default=120, gt=0, description="Seconds of audio that may be owed to callers at once."
    )
    max_requests: int = Field(default=12, ge=1, description="Requests for audio at once.")


class JobAdmissionArgs(AdmissionArgs):
    """The same for jobs, which wait their turn and outlive their callers."""

    max_queued_audio_s: float = Field(
        default=3600, gt=0, description="Seconds of audio that jobs may wait for at once."
    )
    max_requests: int = Field(default=400, ge=1, description="Jobs that may wait or run at once.")
    max_unfinished_per_owner: int = Field(
        default=MAX_UNFINISHED,
        ge=1,
        description="Of one API key, or of all callers together where no keys are asked for.",
    )


def num_ingress_replicas() -> int:
    """Replicas of the ingress now, asked in one of them: each grants its share of every bound."""
    return max(1, serve.get_replica_context().world_size or 1)


def estimated_audio_s(text: str) -> float:
    """Seconds that a text takes to say, roughly."""
    return max(1.0, len(text) * SECONDS_PER_CHAR)


class Ticket:
    """One admitted request and the audio that it is still owed."""

    def __init__(self, audio_s: float) -> None:
        self._owed_s = audio_s

    @property
    def counted_s(self) -> float:
        """Seconds of audio that stand before the next request."""
        return min(self._owed_s, MAX_COUNTED_S)

    def delivered(self, audio_s: float) -> None:
        """Note audio that was made."""
        self._owed_s = max(0.0, self._owed_s - audio_s)

    async def counting(
        self, waveforms: AsyncIterator[NDArray[np.float32]], sample_rate: int
    ) -> AsyncGenerator[NDArray[np.float32]]:
        """Pass waveforms on, noting what they bring."""
        async with closing(waveforms):
            async for waveform in waveforms:
                self.delivered(len(waveform) / sample_rate)
                yield waveform


class Admission:
    """Counts the audio owed by one replica of the ingress.

    Args:
        args: bounds of the whole service.
        num_replicas: how many replicas of the ingress there are now. Each lets in its share, so
            that all together keep the bound whatever way requests are spread over them.
        report: told of the seconds and the requests owed, whenever a request comes or goes.
    """

    def __init__(
        self,
        args: AdmissionArgs,
        num_replicas: Callable[[], int],
        report: Callable[[float, int], None] = lambda audio_s, num_requests: None,
    ) -> None:
        self._args = args
        self._num_replicas = num_replicas
        self._report = report
        self._tickets: set[Ticket] = set()

    @property
    def queued_audio_s(self) -> float:
        """Seconds of audio that are owed now."""
        return sum(ticket.counted_s for ticket in self._tickets)

    @property
    def num_requests(self) -> int:
        """Requests that are owed audio now."""
        return len(self._tickets)

    def require_room(self, audio_s: float) -> None:
        """Refuse what `admit` would refuse.

        Raises:
            Overloaded: as much as may be is queued; with seconds after which to come back.
        """
        num_replicas = self._num_replicas()
        share_s = self._args.max_queued_audio_s / num_replicas
        is_too_many = len(self._tickets) >= max(1, self._args.max_requests // num_replicas)
        # One request alone is let in however long it is: it would never be otherwise.
        is_too_much = self.queued_audio_s + Ticket(audio_s).counted_s > share_s
        if is_too_many or (is_too_much and self._tickets):
            self._refuse(share_s)

    def admit(self, audio_s: float) -> Ticket:
        """Let a request in; `leave` has to follow.

        Raises:
            Overloaded: see `require_room`.
        """
        self.require_room(audio_s)
        ticket = Ticket(audio_s)
        self._tickets.add(ticket)
        self._report(self.queued_audio_s, self.num_requests)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The request has ended, however it did."""
        self._tickets.discard(ticket)
        self._report(self.queued_audio_s, self.num_requests)

    @contextmanager
    def admitted(self, audio_s: float) -> Iterator[Ticket]:
        """`admit` and `leave` around a block."""
        ticket = self.admit(audio_s)
        try:
            yield ticket
        finally:
            self.leave(ticket)

    def _refuse(self, share_s: float) -> None:
        queued_s = self.queued_audio_s
        retry_after_s = max(1, math.ceil(queued_s / _DRAINED_PER_S))
        raise Overloaded(
            f"{queued_s:.0f} s of audio for {len(self._tickets)} requests are queued",
            {"limit_s": round(share_s, 1), "retry_after_s": retry_after_s},
        )
