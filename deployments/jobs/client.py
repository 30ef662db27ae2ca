"""Jobs as the HTTP edge uses them: accept, wait, look up, cancel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from ray.serve.handle import DeploymentHandle

from deployments.calls import call
from deployments.errors import (
    DamagedRecord,
    InvalidInput,
    JobFinished,
    JobNotFinished,
    UnknownJob,
)
from deployments.jobs.idempotency import claim_key, fingerprint
from deployments.jobs.ids import accepted_at, folder_of, new_job_id, now, timestamp
from deployments.jobs.job import Job, JobRequest, JobType
from deployments.jobs.notices.webhook import check_url
from deployments.jobs.places import MAX_UNFINISHED, Places
from deployments.jobs.store import JobStore
from deployments.jobs.threads import in_thread
from models.storage import ObjectNotFound, ObjectStore

MAX_LISTED = 100

_RUNNER_LOST_PAUSE_S = 0.5

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class WebhookPolicy:
    """Which webhooks a request may name: none without a secret to sign them."""

    is_accepted: bool = False
    allow_private: bool = False


@dataclass(frozen=True)
class JobPage:
    """Some jobs, newest first, and where the next page begins, if there may be one."""

    jobs: list[Job]
    next_cursor: str | None


@dataclass(frozen=True)
class StoredAudio:
    """The recording of a job, to be read in parts."""

    objects: ObjectStore
    key: str
    format: str
    etag: str
    size_bytes: int

    async def read(self, start: int, num_bytes: int) -> bytes:
        """Up to `num_bytes` (at least 1) from byte `start`."""
        return await in_thread(self.objects.read_range, self.key, start, num_bytes)


class JobClient:
    """Jobs of a storage root, and the runner that works on them.

    Args:
        objects: the storage root.
        job_runner: handle of `JobRunner`.
        webhooks: which webhooks are accepted.
        max_unfinished: open jobs of one owner; see `Places`.
    """

    def __init__(
        self,
        objects: ObjectStore,
        job_runner: DeploymentHandle[Any],
        webhooks: WebhookPolicy,
        max_unfinished: int = MAX_UNFINISHED,
    ) -> None:
        self._store = JobStore(objects)
        self._runner = job_runner
        self._webhooks = webhooks
        self._places = Places(self._store, max_unfinished)
        self._calls: set[asyncio.Task[None]] = set()

    async def submit(
        self,
        job_type: JobType,
        body: dict[str, Any],
        *,
        request_id: str = "-",
        owner: str | None = None,
        idempotency_key: str | None = None,
        webhook_url: str | None = None,
        upload: bytes | None = None,
    ) -> Job:
        """Accept a job: when this returns, it is stored and will be finished.

        Args:
            job_type: decides who does it.
            body: what is asked, as JSON; shown as the job's input.
            request_id: of the request that asks.
            owner: id of the API key it was asked with.
            idempotency_key: with a key that was used before, the job it was used for is returned.
            webhook_url: is told of the end.
            upload: a file that the request brought along.

        Raises:
            InvalidInput: the key or the URL is not usable.
            IdempotencyConflict: the key was used for another request.
            TooManyJobs: too many of the owner's have not ended.
            NotReady: the storage does not answer.
        """
        if webhook_url is not None:
            self._check_webhook(webhook_url)
        job_id = new_job_id()
        if idempotency_key is not None:
            asked = fingerprint(job_type, {"body": body, "webhook": webhook_url}, upload)
            objects = self._store.objects
            job_id = await in_thread(claim_key, objects, owner, idempotency_key, asked, job_id)
        request = JobRequest(
            id=job_id,
            type=job_type,
            created_at=timestamp(accepted_at(job_id)),
            input=body,
            owner=owner,
            request_id=request_id,
            webhook_url=webhook_url,
        )
        await self._places.accept(request, upload)
        self._send(lambda: call(self._runner.wake.remote()))
        if idempotency_key is None:
            return request.as_job()
        return await in_thread(self._store.job, job_id)

    async def wait(self, job_id: str, timeout_s: float) -> Job:
        """The finished job, or the job as it stands when `timeout_s` is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ended(job_id, timeout_s)
        return await in_thread(self._store.job, job_id)

    async def read(self, job_id: str, owner: str | None = None) -> Job:
        """The job as it stands.

        Args:
            job_id: the job.
            owner: whoever asks sees only jobs of this owner; all if None.

        Raises:
            UnknownJob: there is none, or it is somebody else's.
        """
        return await in_thread(self._owned, job_id, owner)

    async def cancel(self, job_id: str, owner: str | None = None) -> Job:
        """End a job now, whether it waits or runs; a canceled one stays as it is.

        When this returns, the job has published nothing and never will.

        Raises:
            UnknownJob: there is none, or it is somebody else's.
            JobFinished: it had already succeeded or failed, or what it made is being published.
        """
        job = await in_thread(self._owned, job_id, owner)
        if not job.is_finished:
            if not await in_thread(self._store.decide, job_id, "cancel"):
                raise JobFinished(f"job {job_id} can't be canceled: its voice is being published")
            canceled = job.model_copy(update={"status": "canceled", "completed_at": now()})
            job = await in_thread(self._store.finish, canceled)
            self._send(lambda: call(self._runner.job_ended.remote(job_id)))
        if job.status != "canceled":
            raise JobFinished(f"job {job_id} can't be canceled: it has {job.status}")
        return job

    def abandon(self, job_id: str) -> None:
        """Cancel a job whose only caller has left, soon and without waiting for it."""

        async def canceled() -> None:
            with suppress(JobFinished):
                await self.cancel(job_id)

        self._send(canceled)

    async def list(
        self, limit: int = 20, cursor: str | None = None, owner: str | None = None
    ) -> JobPage:
        """Jobs, newest first; those that can't be read are left out of their page.

        Args:
            limit: 1 to `MAX_LISTED`.
            cursor: `next_cursor` of the page before.
            owner: only jobs of this owner; all if None.

        Raises:
            InvalidInput: a limit or a cursor that no page gave.
        """
        if not 1 <= limit <= MAX_LISTED:
            raise InvalidInput(f"limit must be 1 to {MAX_LISTED}, got {limit}")
        if cursor is not None:
            try:
                accepted_at(cursor)
            except UnknownJob:
                raise InvalidInput("the cursor is not one that a page of jobs gave") from None
        return await in_thread(self._page, limit, cursor, owner)

    async def audio(self, job_id: str, owner: str | None = None) -> StoredAudio:
        """The recording of a finished job.

        Raises:
            UnknownJob: no such job, or it made none.
            JobNotFinished: it will perhaps make one.
        """
        job = _finished(await self.read(job_id, owner))
        if job.output is None or (audio := job.output.audio) is None:
            raise UnknownJob(f"job {job.id} has no audio; its status is {job.status}")
        key = f"{folder_of(job.id)}/{audio.file}"
        try:
            size_bytes = await in_thread(self._store.objects.size, key)
        except ObjectNotFound:
            raise UnknownJob(f"the audio of job {job.id} was deleted") from None
        return StoredAudio(self._store.objects, key, audio.format, audio.etag, size_bytes)

    async def captions(
        self, job_id: str, kind: Literal["srt", "vtt"], owner: str | None = None
    ) -> bytes:
        """The captions of a finished job; raises what `audio` raises."""
        job = _finished(await self.read(job_id, owner))
        if job.output is None or (captions := job.output.captions) is None:
            raise UnknownJob(f"job {job.id} has no captions; its status is {job.status}")
        file = captions.srt_file if kind == "srt" else captions.vtt_file
        try:
            return await in_thread(self._store.objects.read, f"{folder_of(job.id)}/{file}")
        except ObjectNotFound:
            raise UnknownJob(f"the captions of job {job.id} were deleted") from None

    async def _ended(self, job_id: str, timeout_s: float) -> None:
        while not await in_thread(self._store.is_finished, job_id):
            try:
                await call(self._runner.wait.remote(job_id, timeout_s))
            except Exception as error:  # the runner was lost: another one takes the job over
                logger.warning("waiting again for %s: %r", job_id, error)
                await asyncio.sleep(_RUNNER_LOST_PAUSE_S)

    def _check_webhook(self, url: str) -> None:
        if not self._webhooks.is_accepted:
            raise InvalidInput(
                "webhook_url: no webhook secret is configured (BAEWOO_WEBHOOK_SECRET)"
            )
        check_url(url, self._webhooks.allow_private)

    def _owned(self, job_id: str, owner: str | None) -> Job:
        if owner is not None and self._store.request(job_id).owner != owner:
            raise UnknownJob(f"no job is called {job_id!r}")
        return self._store.job(job_id)

    def _page(self, limit: int, cursor: str | None, owner: str | None) -> JobPage:
        ids, has_more = self._store.listed(owner, cursor, limit)
        jobs: list[Job] = []
        for job_id in ids:
            try:
                jobs.append(self._store.job(job_id))
            except UnknownJob:  # deleted, or not accepted yet
                continue
            except DamagedRecord as error:
                logger.error("left out of the list: %s", error)
        return JobPage(jobs, ids[-1] if has_more and ids else None)

    def _send(self, send: Callable[[], Awaitable[Any]]) -> None:
        """Do without waiting what nothing depends on."""

        async def sent() -> None:
            try:
                await send()
            except Exception as error:
                logger.warning("the job runner was not told: %r", error)

        task = asyncio.create_task(sent())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)


def _finished(job: Job) -> Job:
    if not job.is_finished:
        raise JobNotFinished(f"job {job.id} is still {job.status}", {"retry_after_s": 1})
    return job
