"""Accepted means done, once: on a real cluster, of which parts are killed."""

import asyncio
import time

import pytest

from deployments.errors import JobFinished
from deployments.jobs.ids import folder_of
from deployments.jobs.job import Job, Lease
from deployments.jobs.store import JobStore
from tests.integration.jobs.held_stage import FATAL
from tests.integration.jobs.service import LIMITS, JobService, until
from tests.unit.jobs.receiver import receiver

pytestmark = pytest.mark.ray

BODY = {"text": "안녕", "speaker_id": "sinip"}


def submitted(service: JobService, text: str = "안녕", **options: str) -> Job:
    async def submit() -> Job:
        asked = {**BODY, "text": text}
        return await service.client().submit("synthesize", asked, **options)  # type: ignore[arg-type]

    return asyncio.run(submit())


def waited(service: JobService, job: Job) -> Job:
    return asyncio.run(service.client().wait(job.id, 60))


def begun(service: JobService, job: Job) -> None:
    until(lambda: service.count("begun", job.id) > 0)


def settled(service: JobService) -> None:
    until(lambda: JobStore(service.objects).pending() == [], timeout_s=300)


def test_a_waiting_caller_is_told_as_soon_as_the_job_is_done(service: JobService) -> None:
    async def scenario() -> float:
        jobs = service.client()
        job = await jobs.submit("synthesize", BODY)
        waiting = asyncio.create_task(jobs.wait(job.id, 60))
        await asyncio.to_thread(begun, service, job)
        service.release()
        done = await waiting
        told = time.time()
        assert done.status == "succeeded"
        stored = await jobs.audio(job.id)
        assert await stored.read(0, 4) == b"job_"
        result = service.objects.path(f"{folder_of(job.id)}/result.json")
        return told - result.stat().st_mtime

    assert asyncio.run(scenario()) < 0.5 < LIMITS.lease_s


def test_a_job_whose_runner_is_killed_is_finished_once_and_told_once(
    service: JobService,
) -> None:
    with receiver([200, 200, 200]) as (url, requests):
        job = submitted(service, webhook_url=url)
        begun(service, job)
        service.kill_runner()
        service.release()
        done = waited(service, job)
        settled(service)
    assert (done.status, done.metrics["attempts"]) == ("succeeded", 2)
    assert [request.headers["webhook-id"] for request in requests] == [f"evt_{job.id[4:]}"]


@pytest.mark.slow
def test_a_job_that_kills_its_runner_is_given_up_and_takes_no_other_along(
    service: JobService,
) -> None:
    fatal, other = submitted(service, text=FATAL), submitted(service)
    begun(service, other)  # it is lost once, with the runner
    until(lambda: JobStore(service.objects).is_finished(fatal.id), timeout_s=400)
    service.release()
    done = waited(service, other)
    settled(service)
    failed = JobStore(service.objects).job(fatal.id)
    assert failed.error is not None
    assert failed.error["type"] == "urn:baewoo:problem:job-abandoned"
    assert (done.status, done.metrics["attempts"]) == ("succeeded", 2)


def test_twenty_equal_submits_at_once_are_one_job(service: JobService) -> None:
    async def scenario() -> list[Job]:
        jobs = service.client()
        service.release()
        submits = (jobs.submit("synthesize", BODY, idempotency_key="k") for _ in range(20))
        accepted = await asyncio.gather(*submits)
        return await asyncio.gather(*(jobs.wait(job.id, 60) for job in accepted))

    done = asyncio.run(scenario())
    assert {job.status for job in done} == {"succeeded"}
    assert len({job.id for job in done}) == 1
    assert service.count("spoken", done[0].id) == 1


def test_a_job_is_canceled_whether_it_waits_or_runs_but_not_when_it_is_done(
    service: JobService,
) -> None:
    async def scenario() -> None:
        jobs = service.client()
        running = [await jobs.submit("synthesize", BODY) for _ in range(LIMITS.max_running)]
        for job in running:
            await asyncio.to_thread(begun, service, job)
        queued = await jobs.submit("synthesize", BODY)
        assert (await jobs.cancel(queued.id)).status == "canceled"
        assert (await jobs.cancel(running[0].id)).status == "canceled"
        canceled_s = time.monotonic()
        await asyncio.to_thread(until, lambda: service.count("stopped", running[0].id) == 1)
        assert time.monotonic() - canceled_s < 0.5 * LIMITS.lease_s
        service.release()
        assert (await jobs.wait(running[1].id, 60)).status == "succeeded"
        with pytest.raises(JobFinished):
            await jobs.cancel(running[1].id)
        assert (await jobs.cancel(queued.id)).status == "canceled"
        await asyncio.to_thread(settled, service)
        assert [service.count("spoken", job.id) for job in (*running, queued)] == [0, 1, 0]
        assert service.count("begun", queued.id) == 0

    asyncio.run(scenario())


def test_a_service_that_is_stopped_gives_its_jobs_back_and_stops_their_work(
    service: JobService,
) -> None:
    job = submitted(service)
    begun(service, job)
    service.stop()
    lease = service.objects.read(f"{folder_of(job.id)}/attempt-1.json")
    assert Lease.model_validate_json(lease).is_released
    assert service.count("stopped", job.id) == 1
    service.release()
    service.deploy()
    assert waited(service, job).status == "succeeded"
    settled(service)


def test_jobs_of_a_service_that_died_are_finished_by_the_next_one_once(
    service: JobService,
) -> None:
    jobs = [submitted(service) for _ in range(3)]
    for job in jobs[: LIMITS.max_running]:
        begun(service, job)
    service.kill()
    assert JobStore(service.objects).pending() == [job.id for job in jobs]
    service.release()
    with service.started_again():
        settled(service)  # nobody asks for them: the runner finds them by itself
    done = [JobStore(service.objects).job(job.id) for job in jobs]
    assert [job.status for job in done] == ["succeeded"] * 3
    assert [job.metrics["attempts"] for job in done] == [2, 2, 1]
    assert [service.count("spoken", job.id) for job in jobs] == [1, 1, 1]
