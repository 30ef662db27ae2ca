import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.errors import NotReady, Overloaded, TextTooLong
from deployments.jobs.files import AttemptFiles
from deployments.jobs.ids import folder_of
from deployments.jobs.job import Job, JobOutput, JobRequest, seconds_waited
from deployments.jobs.leases import Leases
from deployments.jobs.store import JobStore
from models.storage import FolderStore, ObjectStore, StorageUnavailable
from tests.unit.jobs.jobs import QUICK, HeldWork, Told, claim, new_request, speak, working


@pytest.fixture
def objects(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def store(objects: ObjectStore) -> JobStore:
    return JobStore(objects)


def accepted(store: JobStore, count: int = 1) -> list[JobRequest]:
    requests = [
        new_request().model_copy(update={"id": f"job_{number:012x}{'0' * 20}"})
        for number in range(1, count + 1)
    ]
    for request in requests:
        store.accept(request)
    return requests


def lose_attempts(store: JobStore, job_id: str, count: int) -> None:
    """Begin attempts, as workers do that die before their first sign of life."""
    workers = Leases(store, lease_s=-1)
    begun = 0
    while begun < count:
        begun += claim(workers, job_id) is not None


async def until_settled(store: JobStore) -> None:
    async with asyncio.timeout(10):
        while store.pending():
            await asyncio.sleep(0.01)


def test_a_job_that_was_left_behind_is_found_and_finished(store: JobStore) -> None:
    (request,) = accepted(store)

    async def scenario() -> list[Job]:
        told = Told()
        async with working(store.objects, speak, notices=told):
            await until_settled(store)
        return told.jobs

    told = asyncio.run(scenario())
    job = store.job(request.id)
    assert job.status == "succeeded"
    assert job.output is not None and job.output.voice == "sinip@1"
    assert job.metrics["attempts"] == 1
    assert job.metrics["queue_s"] == seconds_waited(job) > 0
    assert job.started_at is not None and job.completed_at is not None
    assert job.urls["audio"] == f"/jobs/{request.id}/audio"
    assert told == [job]


def test_jobs_begin_in_order_and_no_more_at_once_than_allowed(store: JobStore) -> None:
    requests = accepted(store, 5)

    async def scenario() -> list[str]:
        work = HeldWork()
        async with working(store.objects, work) as worker:
            await work.until(lambda: len(work.begun) == 2)
            await asyncio.sleep(3 * QUICK.poll_interval_s)
            assert (worker.num_running, worker.num_waiting) == (2, 3)
            assert work.begun == [request.id for request in requests[:2]]
            work.released.set()
            await until_settled(store)
        return work.begun

    assert asyncio.run(scenario()) == [request.id for request in requests]


def test_a_finished_job_whose_notice_is_slow_holds_no_other_up(store: JobStore) -> None:
    accepted(store, 5)

    class Silent:
        async def tell(self, request: JobRequest, job: Job) -> None:
            await asyncio.Event().wait()

    async def scenario() -> None:
        async with working(store.objects, speak, notices=Silent()), asyncio.timeout(10):
            while not all(map(store.is_finished, store.pending())):
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert len(store.pending()) == 5


def test_receivers_that_do_not_answer_hold_up_no_job_and_all_are_told_at_last(
    store: JobStore,
) -> None:
    requests = accepted(store, 5)
    answers = asyncio.Event()
    told: list[str] = []

    class Slow:
        async def tell(self, request: JobRequest, job: Job) -> None:
            await answers.wait()
            told.append(job.id)

    async def scenario() -> None:
        limits = replace(QUICK, max_telling=1)
        async with working(store.objects, speak, limits, Slow()), asyncio.timeout(10):
            while not all(store.is_finished(request.id) for request in requests):
                await asyncio.sleep(0.01)
            assert len(store.pending()) == 5
            answers.set()
            await until_settled(store)

    asyncio.run(scenario())
    assert sorted(told) == sorted(request.id for request in requests)
    assert all(store.job(request.id).status == "succeeded" for request in requests)


def test_a_failure_keeps_its_reason(store: JobStore) -> None:
    (request,) = accepted(store)

    async def fail(request: JobRequest, files: AttemptFiles) -> JobOutput:
        raise TextTooLong("too long", {"limit": 5})

    async def scenario() -> None:
        async with working(store.objects, fail):
            await until_settled(store)

    asyncio.run(scenario())
    job = store.job(request.id)
    assert job.error is not None
    assert (job.status, job.error["status"], job.error["limit"]) == ("failed", 400, 5)
    assert job.error["job"] == request.id


@pytest.mark.parametrize(
    "trouble", [NotReady("lost"), Overloaded("full"), StorageUnavailable("down")]
)
def test_a_stage_in_trouble_is_tried_again(store: JobStore, trouble: Exception) -> None:
    (request,) = accepted(store)
    troubles = [trouble]

    async def recover(request: JobRequest, files: AttemptFiles) -> JobOutput:
        if troubles:
            raise troubles.pop()
        return await speak(request, files)

    async def scenario() -> None:
        async with working(store.objects, recover):
            await until_settled(store)

    asyncio.run(scenario())
    job = store.job(request.id)
    assert (job.status, job.metrics["attempts"]) == ("succeeded", 1)


def test_a_stage_that_cancels_by_itself_is_tried_again(store: JobStore) -> None:
    (request,) = accepted(store)
    shutdowns = [asyncio.CancelledError()]

    async def recover(request: JobRequest, files: AttemptFiles) -> JobOutput:
        if shutdowns:
            raise shutdowns.pop()
        return await speak(request, files)

    async def scenario() -> None:
        async with working(store.objects, recover):
            await until_settled(store)

    asyncio.run(scenario())
    assert store.job(request.id).status == "succeeded"


def test_a_run_that_takes_too_long_is_stopped_and_fails(store: JobStore) -> None:
    (request,) = accepted(store)

    async def scenario() -> list[str]:
        work = HeldWork()
        async with working(store.objects, work, replace(QUICK, run_timeout_s=0.1)):
            await until_settled(store)
        return work.stopped

    assert asyncio.run(scenario()) == [request.id]
    job = store.job(request.id)
    assert job.error is not None and job.error["status"] == 504


def test_a_worker_that_stops_gives_its_jobs_back_at_once(store: JobStore) -> None:
    (request,) = accepted(store)

    async def scenario() -> list[str]:
        work = HeldWork()
        async with working(store.objects, work):
            await work.until(lambda: work.begun == [request.id])
        async with working(store.objects, speak, replace(QUICK, lease_s=1000)):
            await until_settled(store)
        return work.stopped

    assert asyncio.run(scenario()) == [request.id]
    job = store.job(request.id)
    assert job.output is not None and job.output.audio is not None
    assert (job.metrics["attempts"], job.output.audio.file) == (2, "audio-2.wav")


def test_the_job_of_a_worker_that_died_is_taken_over_and_done_once(store: JobStore) -> None:
    (request,) = accepted(store)
    lose_attempts(store, request.id, 1)

    async def scenario() -> list[Job]:
        told = Told()
        async with (
            working(store.objects, speak, notices=told),
            working(store.objects, speak, notices=told),
        ):
            await until_settled(store)
        return told.jobs

    assert asyncio.run(scenario()) == [store.job(request.id)]
    assert store.job(request.id).metrics["attempts"] == 2


def test_a_job_that_kills_every_worker_is_given_up(store: JobStore) -> None:
    (request,) = accepted(store)
    lose_attempts(store, request.id, QUICK.max_lost)

    async def scenario() -> list[str]:
        work = HeldWork()
        async with working(store.objects, work):
            await until_settled(store)
        return work.begun

    assert asyncio.run(scenario()) == []
    job = store.job(request.id)
    assert job.error is not None and job.status == "failed"
    assert job.error["type"] == "urn:baewoo:problem:job-abandoned"


def test_a_job_that_lost_an_attempt_runs_with_nothing_beside_it(store: JobStore) -> None:
    requests = accepted(store, 6)
    suspects = {requests[1].id, requests[4].id}
    for job_id in suspects:
        lose_attempts(store, job_id, 1)
    at_work: set[str] = set()
    company: set[frozenset[str]] = set()

    async def work(request: JobRequest, files: AttemptFiles) -> JobOutput:
        at_work.add(request.id)
        for _ in range(10):
            company.add(frozenset(at_work))
            await asyncio.sleep(0.01)
        at_work.discard(request.id)
        return await speak(request, files)

    async def scenario() -> None:
        async with working(store.objects, work, replace(QUICK, max_running=6)):
            await until_settled(store)

    asyncio.run(scenario())
    assert {job for jobs in company for job in jobs if len(jobs) == 1} >= suspects
    assert not any(len(jobs) > 1 and jobs & suspects for jobs in company)
    assert any(len(jobs) > 1 for jobs in company)
    assert {store.job(request.id).status for request in requests} == {"succeeded"}


def test_a_job_that_is_given_up_waits_for_nobody(store: JobStore) -> None:
    held, lost = accepted(store, 2)
    lose_attempts(store, lost.id, QUICK.max_lost)

    async def scenario() -> None:
        work = HeldWork()
        async with working(store.objects, work), asyncio.timeout(10):
            while not store.is_finished(lost.id):
                await asyncio.sleep(0.01)
            assert work.begun == [held.id]

    asyncio.run(scenario())


def test_a_worker_whose_lease_was_taken_stops_and_writes_nothing(store: JobStore) -> None:
    (request,) = accepted(store)

    async def scenario() -> None:
        work = HeldWork()
        async with working(store.objects, work, replace(QUICK, max_running=1)):
            await work.until(lambda: len(work.begun) == 1)
            lose_attempts(store, request.id, 1)
            await work.until(lambda: len(work.stopped) == 1)
            assert not store.is_finished(request.id)

    asyncio.run(scenario())


def test_a_damaged_job_leaves_the_queue_and_holds_no_other_up(store: JobStore) -> None:
    damaged, sound = accepted(store, 2)
    store.objects.write(f"{folder_of(damaged.id)}/request.json", b"{")
    store.objects.write("jobs/pending/stray", b"")
    (store.objects.path("jobs/pending") / "a copy~").touch()  # type: ignore[attr-defined]

    async def scenario() -> None:
        async with working(store.objects, speak):
            await until_settled(store)

    asyncio.run(scenario())
    assert store.job(sound.id).status == "succeeded"


def test_a_job_whose_objects_can_not_be_read_holds_no_other_up(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = accepted(store, 2)
    children = FolderStore.children

    def failing(self: FolderStore, prefix: str) -> list[str]:
        if prefix == folder_of(broken.id):
            raise StorageUnavailable("no permission")
        return children(self, prefix)

    monkeypatch.setattr(FolderStore, "children", failing)

    async def scenario() -> None:
        async with working(store.objects, speak), asyncio.timeout(10):
            while store.pending() != [broken.id]:
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert store.is_finished(sound.id)


def test_storage_that_fails_for_a_while_costs_no_job(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = accepted(store)
    create = FolderStore.create
    failures = ["result.json", "attempt-1.json"]

    def failing(self: FolderStore, key: str, content: bytes) -> None:
        if failures and key.endswith(failures[-1]):
            raise StorageUnavailable(f"{failures.pop()} not now")
        create(self, key, content)

    monkeypatch.setattr(FolderStore, "create", failing)

    async def scenario() -> None:
        async with working(store.objects, speak):
            await until_settled(store)

    asyncio.run(scenario())
    assert failures == []
    assert store.job(request.id).metrics["attempts"] == 1
