"""Who works on a job: leases, kept by signs of life, never by comparing clocks.

An attempt is a numbered object, created exclusively, which only its holder rewrites: with a higher
beat every few seconds. Whoever has watched a lease for longer than `lease_s` by its own clock and
seen no new beat may create the next attempt. A holder that was only slow finds that attempt and
stops; should it finish first, the exclusive result decides.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable

from pydantic import ValidationError

from deployments.jobs.ids import folder_of, now
from deployments.jobs.job import Lease
from deployments.jobs.store import JobStore, encode
from models.storage import ObjectExists

_ATTEMPT = re.compile(r"attempt-([1-9][0-9]{0,5})\.json")


class Leases:
    """Takes, keeps and gives back leases for one holder; all calls block.

    Args:
        store: where the jobs lie.
        lease_s: silence after which an attempt counts as lost.
        clock: seconds that only ever grow.
    """

    def __init__(
        self, store: JobStore, lease_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._lease_s = lease_s
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}

    def next_attempt(self, job_id: str) -> Lease | None:
        """The attempt at a job that may begin now; None if it was not accepted or is worked on."""
        names = self._store.objects.children(folder_of(job_id))
        if "request.json" not in names:
            return None
        number = _newest(names)
        num_lost = 0
        if number > 0:
            lease = self._read(job_id, number)
            if lease is None:
                num_lost = number
            elif lease.is_released or self._is_silent(lease):
                num_lost = lease.num_lost + (not lease.is_released)
            else:
                return None
        return Lease(
            job_id=job_id,
            attempt=number + 1,
            num_lost=num_lost,
            claimed_at=now(),
            holder=self._holder,
        )

    def begin(self, lease: Lease) -> bool:
        """Begin an attempt; False if somebody else was faster."""
        self._seen.pop(lease.job_id, None)
        try:
            self._store.objects.create(_key(lease), encode(lease))
        except ObjectExists:
            return False
        return True

    def keep(self, lease: Lease) -> tuple[Lease, bool] | None:
        """Give a sign of life.

        Returns:
            The lease as it is now, and whether the job has its result; None if a later attempt
            has begun.
        """
        names = self._store.objects.children(folder_of(lease.job_id))
        if _newest(names) > lease.attempt:
            return None
        lease = lease.next_beat()
        self._store.objects.write(_key(lease), encode(lease))
        return lease, "result.json" in names

    def release(self, lease: Lease) -> None:
        """Give the job back: the next attempt may begin at once."""
        released = lease.model_copy(update={"is_released": True})
        self._store.objects.write(_key(lease), encode(released))

    def forget_all_but(self, job_ids: Iterable[str]) -> None:
        """Stop watching the leases of all other jobs."""
        kept = set(job_ids)
        self._seen = {job_id: seen for job_id, seen in self._seen.items() if job_id in kept}

    def _is_silent(self, lease: Lease) -> bool:
        sign = (lease.attempt, lease.beat)
        last_sign, seen_s = self._seen.get(lease.job_id, (None, 0.0))
        if sign != last_sign:
            self._seen[lease.job_id] = (sign, self._clock())
            return False
        return self._clock() - seen_s > self._lease_s

    def _read(self, job_id: str, attempt: int) -> Lease | None:
        """The lease of an attempt; None if it can't be read, as if its holder had died."""
        content = self._store.objects.read(f"{folder_of(job_id)}/attempt-{attempt}.json")
        try:
            return Lease.model_validate_json(content)
        except ValidationError:
            return None


def _newest(names: Iterable[str]) -> int:
    matches = (_ATTEMPT.fullmatch(name) for name in names)
    return max((int(match.group(1)) for match in matches if match), default=0)


def _key(lease: Lease) -> str:
    return f"{folder_of(lease.job_id)}/attempt-{lease.attempt}.json"
