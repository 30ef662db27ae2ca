"""Places for open jobs: no owner takes more than its share of the queue."""

from __future__ import annotations

from collections import defaultdict

from deployments.errors import TooManyJobs
from deployments.jobs.job import JobRequest
from deployments.jobs.store import JobStore
from deployments.jobs.threads import in_thread

MAX_UNFINISHED = 100
"""Jobs of one owner at once, unless configured otherwise."""

_RETRY_AFTER_S = 10


class Places:
    """Accepts jobs as long as their owner has few enough open.

    One instance never exceeds the bound. Those of other replicas that accept jobs in the same
    instant do not see each other's yet, and may exceed it together by as many.

    Args:
        store: the jobs.
        max_unfinished: jobs of one owner that may wait, run or be told of at once.
    """

    def __init__(self, store: JobStore, max_unfinished: int) -> None:
        self._store = store
        self._max_unfinished = max_unfinished
        self._accepting: defaultdict[str | None, set[str]] = defaultdict(set)

    async def accept(self, request: JobRequest, upload: bytes | None) -> None:
        """Store a request; one that is stored already always has its place.

        Raises:
            TooManyJobs: too many of the owner's have not ended.
            NotReady: the storage does not answer.
        """
        accepting = self._accepting[request.owner]
        accepting.add(request.id)
        try:
            # What is being accepted when this begins counts, be it stored already or not.
            await in_thread(self._require_room, request, frozenset(accepting))
            await in_thread(self._store.accept, request, upload)
        finally:
            accepting.discard(request.id)
            if not accepting:
                self._accepting.pop(request.owner, None)

    def _require_room(self, request: JobRequest, accepting: frozenset[str]) -> None:
        unfinished = self._store.unfinished(request.owner) | accepting
        if len(unfinished) > self._max_unfinished and not self._store.is_accepted(request.id):
            raise TooManyJobs(
                f"{len(unfinished) - 1} jobs have not ended; {self._max_unfinished} may be open",
                {"limit": self._max_unfinished, "retry_after_s": _RETRY_AFTER_S},
            )
