import asyncio
from typing import Any

import pytest

from deployments.errors import InvalidInput, Overloaded
from deployments.jobs.job import Job, JobType
from serve_app.admission import Admission, AdmissionArgs
from serve_app.job_desk import JobDesk, JobOptions

NOW = JobOptions(wait_s=0.0, idempotency_key=None)


class Jobs:
    """Accepts jobs and ends them when the test says so."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.refuses = False

    async def submit(self, job_type: JobType, body: dict[str, Any], **options: Any) -> Job:
        if self.refuses:
            raise InvalidInput("no")
        return self.job()

    async def wait(self, job_id: str, timeout_s: float) -> Job:
        if timeout_s > 0:
            await self.ended.wait()
        return self.job()

    def job(self) -> Job:
        status = "succeeded" if self.ended.is_set() else "starting"
        return Job(
            id="job_1", type="synthesize", status=status, created_at="", input={}, urls={"get": "/"}
        )


async def submit(desk: JobDesk) -> Job:
    return await desk.submit("synthesize", {}, owner=None, audio_s=10, options=NOW)


def desk_of(jobs: Jobs) -> tuple[JobDesk, Admission]:
    admission = Admission(AdmissionArgs(max_queued_audio_s=20, max_requests=9), lambda: 1)
    return JobDesk(jobs, admission), admission  # type: ignore[arg-type]


def test_a_job_counts_until_it_has_ended_though_nobody_waits() -> None:
    async def scenario() -> None:
        jobs = Jobs()
        desk, admission = desk_of(jobs)
        assert (await submit(desk)).status == "starting"
        assert (await submit(desk)).status == "starting"
        with pytest.raises(Overloaded):
            await submit(desk)
        with pytest.raises(Overloaded):
            desk.require_room(10)
        jobs.ended.set()
        await asyncio.sleep(0.01)
        assert admission.num_requests == 0
        assert (await submit(desk)).status == "succeeded"

    asyncio.run(scenario())


def test_a_job_that_was_refused_counts_for_nothing() -> None:
    async def scenario() -> None:
        jobs = Jobs()
        jobs.refuses = True
        desk, admission = desk_of(jobs)
        with pytest.raises(InvalidInput):
            await submit(desk)
        assert admission.num_requests == 0

    asyncio.run(scenario())
