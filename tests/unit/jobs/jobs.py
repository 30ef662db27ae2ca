"""Jobs without stages: works that tests hold and release, and a runner without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from deployments.jobs.client import JobClient, WebhookPolicy
from deployments.jobs.files import AttemptFiles
from deployments.jobs.ids import accepted_at, new_job_id, timestamp
from deployments.jobs.job import AudioOutput, Job, JobOutput, JobRequest, JobType, Lease
from deployments.jobs.leases import Leases
from deployments.jobs.store import JobStore
from deployments.jobs.worker import JobWorker, Tells, Work, WorkerLimits
from models.storage import ObjectStore

QUICK = WorkerLimits(
    max_running=2, poll_interval_s=0.05, heartbeat_s=0.02, lease_s=0.3, run_timeout_s=20, max_lost=2
)


def new_request(job_type: JobType = "synthesize", **fields: Any) -> JobRequest:
    job_id = new_job_id()
    created_at = timestamp(accepted_at(job_id))
    asked = {"input": {"text": "안녕"}, **fields}
    return JobRequest(id=job_id, type=job_type, created_at=created_at, **asked)


async def speak(request: JobRequest, files: AttemptFiles) -> JobOutput:
    """A work that succeeds at once."""
    file = await asyncio.to_thread(files.write, "audio", "wav", request.id.encode())
    audio = AudioOutput(
        url=f"/jobs/{request.id}/audio",
        format="wav",
        sample_rate_hz=24_000,
        duration_s=1.5,
        etag="e" * 32,
        file=file,
    )
    return JobOutput(audio=audio, voice="sinip@1", emotion="neutral", seed=1)


def claim(leases: Leases, job_id: str) -> Lease | None:
    """Begin the next attempt, if one may begin and nobody else is faster."""
    lease = leases.next_attempt(job_id)
    return lease if lease is not None and leases.begin(lease) else None


class HeldWork:
    """A work that waits until it is released, and knows what became of every attempt."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self._changed = asyncio.Event()

    async def __call__(self, request: JobRequest, files: AttemptFiles) -> JobOutput:
        self.begun.append(request.id)
        self._changed.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.stopped.append(request.id)
            self._changed.set()
            raise
        return await speak(request, files)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once attempts have begun or stopped as awaited."""
        async with asyncio.timeout(10):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class Told:
    """Keeps what was told instead of sending it."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    async def tell(self, request: JobRequest, job: Job) -> None:
        self.jobs.append(job)


@asynccontextmanager
async def working(
    objects: ObjectStore,
    works: Mapping[JobType, Work] | Work,
    limits: WorkerLimits = QUICK,
    notices: Tells | None = None,
) -> AsyncIterator[JobWorker]:
    """A worker at work, until the block ends."""
    if not isinstance(works, Mapping):
        works = {"synthesize": works}
    worker = JobWorker(JobStore(objects), works, notices or Told(), limits)
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


class _Method:
    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def remote(self, *args: Any) -> asyncio.Future[Any]:
        async def called() -> Any:
            result = self._method(*args)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.ensure_future(called())


class LocalHandle:
    """Calls a worker the way a deployment handle calls `JobRunner`."""

    def __init__(self, worker: JobWorker) -> None:
        self.wake = _Method(worker.wake)
        self.wait = _Method(worker.wait)
        self.job_ended = _Method(worker.job_ended)


def client_of(
    objects: ObjectStore,
    worker: JobWorker,
    webhooks: WebhookPolicy | None = None,
    **options: int,
) -> JobClient:
    """A client of a worker in the same process."""
    handle: Any = LocalHandle(worker)
    return JobClient(objects, handle, webhooks or WebhookPolicy(), **options)
