"""The queue as a worker sees it: what may begin now, and what only alone. All calls block."""

from __future__ import annotations

import logging

from deployments.jobs.job import Lease
from deployments.jobs.leases import Leases
from deployments.jobs.store import JobStore
from models.storage import StorageError

logger = logging.getLogger("ray.serve")


class JobQueue:
    """Jobs for which something is left to do; one that can't be read holds no other up.

    Args:
        store: the jobs.
        leases: of the worker.
        max_lost: attempts that may end without a word before a job is given up.
    """

    def __init__(self, store: JobStore, leases: Leases, max_lost: int) -> None:
        self._store = store
        self._leases = leases
        self._max_lost = max_lost

    def pending(self) -> list[str]:
        """Ids of all jobs in the queue, oldest first."""
        pending = self._store.pending()
        self._leases.forget_all_but(pending)
        return pending

    def next_attempt(self, job_id: str) -> Lease | None:
        """The attempt at a job that may begin now, if one may."""
        try:
            lease = self._leases.next_attempt(job_id)
            if lease is None:
                self._store.settle_if_never_accepted(job_id)
            return lease
        except StorageError as error:
            logger.error("passed over: %s: %s", job_id, error)
            return None

    def is_suspect(self, lease: Lease) -> bool:
        """Whether it may have been this job that killed its worker, and will be run once more."""
        if not 0 < lease.num_lost < self._max_lost:
            return False
        try:
            return not self._store.is_finished(lease.job_id)
        except StorageError:
            return True

    def begin(self, lease: Lease) -> bool:
        """Begin an attempt, if nobody was faster."""
        try:
            return self._leases.begin(lease)
        except StorageError as error:
            logger.error("not begun: %s: %s", lease.job_id, error)
            return False
