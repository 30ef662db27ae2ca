"""The worker: takes jobs in the order they came, runs a few at a time, tells of their end.

It knows neither Ray nor the stages. Any number of workers share a storage root: leases tell who is
at what, and the exclusive result is what "once" means.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from deployments.driver.request_context import enter_request
from deployments.errors import DamagedRecord, JobAbandoned, NotReady, Overloaded, SpeechError
from deployments.jobs.files import AttemptFiles
from deployments.jobs.ids import now
from deployments.jobs.job import Job, JobOutput, JobRequest, JobType, Lease, seconds_waited
from deployments.jobs.leases import Leases
from deployments.jobs.queue import JobQueue
from deployments.jobs.store import JobCanceled, JobStore
from deployments.problems import problem_document, to_speech_error
from deployments.tracing import job_span
from models.storage import StorageUnavailable

logger = logging.getLogger("ray.serve")

Work = Callable[[JobRequest, AttemptFiles], Awaitable[JobOutput]]
"""Does what a request asks for; cancelling it must end all that it started."""

_MAX_RETRY_DELAY_S = 15.0
_STORE_RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_WAITER_POLL_S = (0.1, 2.0)  # of jobs that another worker runs: the first pause and the longest


class Tells(Protocol):
    """Who tells of a job's end; see `Notifier`."""

    async def tell(self, request: JobRequest, job: Job) -> None:
        """Send the notices of a finished job."""


@dataclass(frozen=True)
class WorkerLimits:
    """How much a worker takes on, and when it gives up.

    Args:
        max_running: jobs in the stages at once.
        max_telling: finished jobs whose notices are being sent at once; further ones wait in the
            queue.
        poll_interval_s: how often it looks for jobs that nobody woke it for.
        heartbeat_s: how often a lease gives a sign of life.
        lease_s: silence after which a job is taken over; several heartbeats.
        run_timeout_s: longest time for one attempt, retries of lost stages included.
        max_lost: attempts that may end without a word before the job fails. After the first, the
            job runs alone: should it be what kills its worker, it takes no other one along again.
    """

    max_running: int = 4
    max_telling: int = 64
    poll_interval_s: float = 2.0
    heartbeat_s: float = 3.0
    lease_s: float = 12.0
    run_timeout_s: float = 900.0
    max_lost: int = 3


class JobWorker:
    """Runs the jobs of a storage root until it is stopped.

    Args:
        store: the jobs.
        works: how each type of job is done.
        notices: tells of their end.
        limits: see there.
    """

    def __init__(
        self,
        store: JobStore,
        works: Mapping[JobType, Work],
        notices: Tells,
        limits: WorkerLimits,
    ) -> None:
        self._store = store
        self._works = works
        self._notices = notices
        self._limits = limits
        self._leases = Leases(store, limits.lease_s)
        self._queue = JobQueue(store, self._leases, limits.max_lost)
        self._woken = asyncio.Event()
        self._attempts: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, asyncio.Task[Job]] = {}
        self._alone: set[str] = set()  # attempts beside which none may run
        self._telling: set[str] = set()
        self._untold: set[str] = set()  # ended here, and in the queue until there is room to tell
        self._num_waiting = 0
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; to be called on the event loop that does the work."""
        self._loop = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """End all attempts and give their jobs back."""
        tasks = [*self._attempts.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_alive(self) -> bool:
        """Whether jobs are being looked for."""
        return self._loop is not None and not self._loop.done()

    @property
    def num_running(self) -> int:
        """Jobs that are in the stages now."""
        return len(self._runs)

    @property
    def num_waiting(self) -> int:
        """Jobs that were in the queue at the last look and are not attempted here."""
        return self._num_waiting

    def wake(self) -> None:
        """Look for jobs now."""
        self._woken.set()

    def job_ended(self, job_id: str) -> None:
        """Somebody else has ended a job: stop its run, if it is here, and tell who waits."""
        self._stop_run(job_id)
        for waiter in self._waiters.get(job_id, ()):
            waiter.set()

    async def wait(self, job_id: str, timeout_s: float) -> None:
        """Return when the job has ended, here or in another worker, or when the time is over."""
        self.wake()
        ended = asyncio.Event()
        self._waiters[job_id].add(ended)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._ended(job_id, ended)
        finally:
            self._waiters[job_id].discard(ended)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def _stop_run(self, job_id: str) -> None:
        if run := self._runs.get(job_id):
            run.cancel()

    async def _ended(self, job_id: str, ended: asyncio.Event) -> None:
        pause_s, longest_s = _WAITER_POLL_S
        while not await asyncio.to_thread(self._store.is_finished, job_id):
            is_here = job_id in self._attempts
            pause_s = longest_s if is_here else min(1.5 * pause_s, longest_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await ended.wait()
            ended.clear()

    async def _serve(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._take_jobs()
            except Exception:
                logger.exception("jobs could not be looked for")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.poll_interval_s):
                    await self._woken.wait()

    async def _take_jobs(self) -> None:
        pending = await asyncio.to_thread(self._queue.pending)
        self._untold.intersection_update(pending)
        for job_id in pending:
            if not self._has_room():
                break
            if job_id in self._attempts or (job_id in self._untold and not self._may_tell()):
                continue
            lease = await asyncio.to_thread(self._queue.next_attempt, job_id)
            if lease is None:
                continue
            is_suspect = await asyncio.to_thread(self._queue.is_suspect, lease)
            if is_suspect and self._num_at_work():
                break  # its turn comes when these have ended, and none is begun before
            if not await asyncio.to_thread(self._queue.begin, lease):
                continue
            if is_suspect:
                self._alone.add(job_id)
            attempt = asyncio.create_task(self._attend(lease), name=job_id)
            self._attempts[job_id] = attempt
            attempt.add_done_callback(self._forget)
        self._num_waiting = sum(job_id not in self._attempts for job_id in pending)

    def _has_room(self) -> bool:
        return not self._alone - self._telling and self._num_at_work() < self._limits.max_running

    def _num_at_work(self) -> int:
        return len(self._attempts) - len(self._telling)

    def _may_tell(self) -> bool:
        return len(self._telling) < self._limits.max_telling

    def _forget(self, attempt: asyncio.Task[None]) -> None:
        del self._attempts[attempt.get_name()]
        self._telling.discard(attempt.get_name())
        self._alone.discard(attempt.get_name())
        self.wake()
        if not attempt.cancelled() and (error := attempt.exception()) is not None:
            # The lease runs out, and whoever finds that begins the next attempt.
            logger.error("attempt at %s broke off", attempt.get_name(), exc_info=error)

    async def _attend(self, lease: Lease) -> None:
        """One attempt: run the job unless it has ended, tell of its end, leave the queue."""
        keeper = asyncio.create_task(self._keep(lease))
        try:
            try:
                request = await asyncio.to_thread(self._store.request, lease.job_id)
                job = await self._brought_to_an_end(request, lease)
            except DamagedRecord as error:
                logger.error("dropped from the queue: %s", error)
            else:
                if job is None:
                    return
                self.job_ended(job.id)
                if not self._may_tell():
                    # Receivers that do not answer hold up their own notices, and no other job.
                    self._untold.add(job.id)
                    keeper.cancel()
                    await asyncio.to_thread(self._leases.release, lease)
                    return
                self._untold.discard(job.id)
                self._telling.add(job.id)
                self.wake()
                await self._notices.tell(request, job)
            await asyncio.to_thread(self._store.settle, lease.job_id)
        except asyncio.CancelledError:
            keeper.cancel()
            await asyncio.to_thread(self._leases.release, lease)
            raise
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep(self, lease: Lease) -> None:
        """Give signs of life; stop the run when the job has ended or is somebody else's."""
        while True:
            await asyncio.sleep(self._limits.heartbeat_s)
            try:
                kept = await asyncio.to_thread(self._leases.keep, lease)
            except StorageUnavailable as error:
                logger.warning("no sign of life for %s: %s", lease.job_id, error)
                continue
            if kept is None or kept[1]:
                self._stop_run(lease.job_id)
            if kept is None:
                return
            lease = kept[0]

    async def _brought_to_an_end(self, request: JobRequest, lease: Lease) -> Job | None:
        """The finished job; None if the attempt was stopped for a later one."""
        job = await asyncio.to_thread(self._store.job, request.id)
        if job.is_finished:
            return job
        if lease.num_lost >= self._limits.max_lost:
            reason = f"{lease.num_lost} attempts at the job ended without a word"
            return await self._finish(_failed(job, JobAbandoned(reason), request))
        run = asyncio.create_task(self._run(request, job, lease))
        self._runs[request.id] = run
        try:
            await asyncio.wait({run})
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            del self._runs[request.id]
        if run.cancelled():
            job = await asyncio.to_thread(self._store.job, request.id)
            return job if job.is_finished else None
        return await self._finish(run.result())

    async def _run(self, request: JobRequest, job: Job, lease: Lease) -> Job:
        timings = enter_request(request.id)
        files = AttemptFiles(self._store.objects, request.id, lease.attempt)
        try:
            async with asyncio.timeout(self._limits.run_timeout_s):
                with (
                    timings.measure("job"),
                    job_span(request.type, request.id, request.request_id),
                ):
                    output = await self._insist(request, files)
        except JobCanceled:  # whoever canceled it may have died before it was told
            job = job.model_copy(update={"status": "canceled"})
        except Exception as error:
            job = _failed(job, to_speech_error(error), request)
        else:
            job = job.model_copy(update={"status": "succeeded", "output": output})
            if output.audio is not None:
                job.urls["audio"] = output.audio.url
        timings.add("queue", seconds_waited(job))
        seconds = {f"{stage}_s": round(s, 3) for stage, s in timings.seconds.items()}
        job.metrics.update(seconds, attempts=lease.attempt)
        return job

    async def _insist(self, request: JobRequest, files: AttemptFiles) -> JobOutput:
        """Do the work, again and again while stages are lost or overloaded."""
        delay_s = 0.5
        while True:
            try:
                return await self._works[request.type](request, files)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # Nobody cancelled the job: the stage that did the work was shut down.
                error: SpeechError = NotReady("a stage of the service was lost")
            except JobCanceled:
                raise
            except StorageUnavailable as unavailable:
                error = NotReady(str(unavailable))
            except Exception as failure:
                error = to_speech_error(failure)
                if not isinstance(error, NotReady | Overloaded):
                    raise error from failure
            logger.warning("%s goes on after a pause: %s", request.id, error)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _MAX_RETRY_DELAY_S)

    async def _finish(self, job: Job) -> Job:
        done = job.model_copy(update={"completed_at": now()})
        for delay_s in _STORE_RETRY_DELAYS_S:
            try:
                return await asyncio.to_thread(self._store.finish, done)
            except StorageUnavailable as error:
                logger.warning("the result of %s is not stored yet: %s", job.id, error)
            await asyncio.sleep(delay_s)
        return await asyncio.to_thread(self._store.finish, done)


def _failed(job: Job, error: SpeechError, request: JobRequest) -> Job:
    problem = problem_document(error, request.request_id) | {"job": job.id}
    return job.model_copy(update={"status": "failed", "error": problem})
