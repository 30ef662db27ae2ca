import asyncio
from dataclasses import replace

from deployments.jobs.files import AttemptFiles
from deployments.jobs.job import Job, JobOutput, JobRequest
from deployments.jobs.store import JobStore
from models.storage import ObjectStore
from tests.unit.jobs.jobs import QUICK, Told, new_request, speak, working

# A worker that is only slow must not look dead on a busy machine.
UNHURRIED = replace(QUICK, lease_s=30.0, heartbeat_s=1.0)


def test_three_workers_share_a_storage_and_do_each_job_once(objects: ObjectStore) -> None:
    store = JobStore(objects)
    requests = [new_request() for _ in range(9)]
    for request in requests:
        store.accept(request)
    done: list[str] = []

    async def work(request: JobRequest, files: AttemptFiles) -> JobOutput:
        output = await speak(request, files)
        done.append(request.id)
        return output

    async def scenario() -> list[Job]:
        told = Told()
        async with (
            working(objects, work, notices=told, limits=UNHURRIED),
            working(objects, work, notices=told, limits=UNHURRIED),
            working(objects, work, notices=told, limits=UNHURRIED),
            asyncio.timeout(60),
        ):
            while await asyncio.to_thread(store.pending):
                await asyncio.sleep(0.05)
        return told.jobs

    told = asyncio.run(scenario())
    ids = sorted(request.id for request in requests)
    assert sorted(done) == ids
    assert sorted(job.id for job in told) == ids
    assert {store.job(job_id).status for job_id in ids} == {"succeeded"}
