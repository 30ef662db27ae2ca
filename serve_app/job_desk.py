"""Accepts jobs, as long as not too many wait, and answers with them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header

from deployments.driver.request_context import current_request_id
from deployments.jobs.client import JobClient
from deployments.jobs.job import Job, JobType
from serve_app.admission import Admission, Ticket
from serve_app.waiting import wait_s

_LOOK_AGAIN_S = 300.0

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class JobOptions:
    """What the headers of a request say about its job.

    Args:
        wait_s: how long the caller waits for it.
        idempotency_key: the same key with the same body names the same job.
    """

    wait_s: float
    idempotency_key: str | None


def _options(
    prefer: Annotated[
        list[str] | None,
        Header(description="`wait=N` waits up to N seconds (60, at most 300); or `respond-async`."),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=255, description="The same key and body again: the same job."),
    ] = None,
) -> JobOptions:
    return JobOptions(wait_s(prefer or []), idempotency_key)


Options = Annotated[JobOptions, Depends(_options)]


class JobDesk:
    """Submits jobs and counts them until they have ended, also when nobody waits for them.

    Args:
        jobs: stores and runs them.
        admission: bounds what waits.
    """

    def __init__(self, jobs: JobClient, admission: Admission) -> None:
        self._jobs = jobs
        self._admission = admission
        self._watches: set[asyncio.Task[None]] = set()

    def require_room(self, audio_s: float) -> None:
        """Refuse before any work is done for a request that `submit` would refuse.

        Raises:
            Overloaded: too much waits already.
        """
        self._admission.require_room(audio_s)

    async def submit(
        self,
        job_type: JobType,
        body: dict[str, Any],
        *,
        owner: str | None,
        audio_s: float,
        options: JobOptions,
        webhook_url: str | None = None,
        upload: bytes | None = None,
    ) -> Job:
        """Accept a job and wait for it as long as the caller does; it goes on either way.

        Raises:
            Overloaded: too much waits already.
            IdempotencyConflict: the key was used with another body.
            InvalidInput: the key or the URL can't be used.
        """
        ticket = self._admission.admit(audio_s)
        try:
            job = await self._jobs.submit(
                job_type,
                body,
                request_id=current_request_id(),
                owner=owner,
                idempotency_key=options.idempotency_key,
                webhook_url=webhook_url,
                upload=upload,
            )
        except BaseException:
            self._admission.leave(ticket)
            raise
        watch = asyncio.create_task(self._watch(job.id, ticket))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return await self._jobs.wait(job.id, options.wait_s)

    async def _watch(self, job_id: str, ticket: Ticket) -> None:
        try:
            while not (await self._jobs.wait(job_id, _LOOK_AGAIN_S)).is_finished:
                pass
        except Exception:
            logger.exception("%s is no longer counted: it can't be read", job_id)
        finally:
            self._admission.leave(ticket)
