import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import (
    IdempotencyConflict,
    InvalidInput,
    JobFinished,
    JobNotFinished,
    NotReady,
    TooManyJobs,
    UnknownJob,
)
from deployments.jobs.client import JobClient, WebhookPolicy
from deployments.jobs.files import AttemptFiles
from deployments.jobs.ids import folder_of
from deployments.jobs.job import Job, JobOutput, JobRequest
from deployments.jobs.store import JobStore
from deployments.jobs.worker import JobWorker, Work
from models.storage import FolderStore, ObjectStore, StorageUnavailable, open_store
from tests.unit.jobs.jobs import QUICK, HeldWork, Told, client_of, new_request, speak, working
from tests.unit.storage.aws_server import aws_server, new_bucket

BODY = {"text": "안녕", "speaker_id": "sinip"}

# No test may pass only because a poll came at the right time.
SLOW_TO_LOOK = replace(QUICK, poll_interval_s=1000.0)


@pytest.fixture
def objects(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def run(objects: ObjectStore, work: Work, scenario: Callable[[JobClient], Awaitable[Job]]) -> Job:
    async def started() -> Job:
        async with working(objects, work, SLOW_TO_LOOK) as worker:
            return await scenario(client_of(objects, worker))

    return asyncio.run(started())


def idle_client(
    objects: ObjectStore, webhooks: WebhookPolicy | None = None, **options: int
) -> JobClient:
    """A client whose worker was never started."""
    worker = JobWorker(JobStore(objects), {}, Told(), QUICK)
    return client_of(objects, worker, webhooks, **options)


def test_a_submitted_job_is_stored_and_done_while_its_caller_waits(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY, request_id="r-1", owner="key")
        assert job.status == "starting"
        assert JobStore(objects).request(job.id).owner == "key"
        return await jobs.wait(job.id, 10)

    job = run(objects, speak, scenario)
    assert (job.status, job.input) == ("succeeded", BODY)


def test_waiting_ends_when_the_time_is_over_and_the_job_goes_on(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        await work.until(lambda: work.begun == [job.id])
        assert (await jobs.wait(job.id, 0.1)).status == "processing"
        assert (await jobs.wait(job.id, 0)).status == "processing"
        work.released.set()
        return await jobs.wait(job.id, 10)

    work = HeldWork()
    assert run(objects, work, scenario).status == "succeeded"


def test_a_caller_who_leaves_cancels_nothing(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        waiting = asyncio.create_task(jobs.wait(job.id, 10))
        await work.until(lambda: work.begun == [job.id])
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        work.released.set()
        return await jobs.wait(job.id, 10)

    work = HeldWork()
    assert run(objects, work, scenario).status == "succeeded"
    assert work.stopped == []


def test_a_waiter_outlives_a_runner_that_is_lost(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        wait = jobs._runner.wait.remote
        lost = [RuntimeError("replica died")]

        def dies_once(*args: object) -> object:
            if lost:
                raise lost.pop()
            return wait(*args)

        monkeypatch.setattr(jobs._runner.wait, "remote", dies_once)
        return await jobs.wait(job.id, 10)

    assert run(objects, speak, scenario).status == "succeeded"


def test_a_waiting_job_is_canceled_and_never_begins(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        first = [await jobs.submit("synthesize", BODY) for _ in range(QUICK.max_running)]
        await work.until(lambda: len(work.begun) == len(first))
        waiting = await jobs.submit("synthesize", BODY)
        waiter = asyncio.create_task(jobs.wait(waiting.id, 10))
        await asyncio.sleep(0)
        canceled = await jobs.cancel(waiting.id)
        assert (await waiter) == canceled
        work.released.set()
        for job in first:
            await jobs.wait(job.id, 10)
        return canceled

    work = HeldWork()
    job = run(objects, work, scenario)
    assert (job.status, job.output, job.error) == ("canceled", None, None)
    assert job.completed_at is not None
    assert job.id not in work.begun


def test_a_running_job_is_canceled_and_its_work_stops(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        await work.until(lambda: work.begun == [job.id])
        await jobs.cancel(job.id)
        await work.until(lambda: work.stopped == [job.id])
        return await jobs.cancel(job.id)

    work = HeldWork()
    job = run(objects, work, scenario)
    assert job.status == "canceled"
    assert JobStore(objects).job(job.id) == job


def test_a_job_run_elsewhere_is_stopped_by_its_next_heartbeat(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        await work.until(lambda: work.begun == [job.id])
        canceled = await idle_client(objects).cancel(job.id)
        await work.until(lambda: work.stopped == [job.id])
        return canceled

    work = HeldWork()
    assert run(objects, work, scenario).status == "canceled"


def publishing_after(work: HeldWork, published: list[str]) -> Work:
    """A work whose result others see: made when `work` is done, if the job may still be."""

    async def publish(request: JobRequest, files: AttemptFiles) -> JobOutput:
        with suppress(asyncio.CancelledError):  # as a stage that takes no notice
            await work(request, files)
        await asyncio.to_thread(files.decide_to_publish)
        published.append(request.id)
        return JobOutput(voice="mina@1")

    return publish


def test_a_canceled_job_publishes_nothing_though_its_work_goes_on(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        await work.until(lambda: work.begun == [job.id])
        canceled = await jobs.cancel(job.id)
        work.released.set()
        async with asyncio.timeout(10):
            while JobStore(objects).pending():
                await asyncio.sleep(0.01)
        return canceled

    work, published = HeldWork(), list[str]()
    job = run(objects, publishing_after(work, published), scenario)
    assert (job.status, published) == ("canceled", [])
    assert JobStore(objects).job(job.id) == job


def test_a_job_that_publishes_can_not_be_canceled_and_succeeds(objects: ObjectStore) -> None:
    async def publish(request: JobRequest, files: AttemptFiles) -> JobOutput:
        await asyncio.to_thread(files.decide_to_publish)
        return await work(request, files)

    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        await work.until(lambda: work.begun == [job.id])
        with pytest.raises(JobFinished, match="is being published"):
            await jobs.cancel(job.id)
        work.released.set()
        return await jobs.wait(job.id, 10)

    work = HeldWork()
    assert run(objects, publish, scenario).status == "succeeded"


def test_a_cancellation_that_broke_off_is_completed_by_the_attempt(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        await work.until(lambda: work.begun == [job.id])
        JobStore(objects).decide(job.id, "cancel")  # and whoever decided it dies
        work.released.set()
        return await jobs.wait(job.id, 10)

    work, published = HeldWork(), list[str]()
    job = run(objects, publishing_after(work, published), scenario)
    assert (job.status, job.error, published) == ("canceled", None, [])


def test_an_abandoned_job_is_canceled_unless_it_has_ended(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        await work.until(lambda: work.begun == [job.id])
        jobs.abandon(job.id)
        await work.until(lambda: work.stopped == [job.id])
        work.released.set()
        done = await jobs.wait((await jobs.submit("synthesize", BODY)).id, 10)
        jobs.abandon(done.id)
        await asyncio.gather(*jobs._calls)
        assert await jobs.read(done.id) == done
        return await jobs.read(job.id)

    work = HeldWork()
    assert run(objects, work, scenario).status == "canceled"


def test_a_finished_job_can_not_be_canceled(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        done = await jobs.wait(job.id, 10)
        with pytest.raises(JobFinished, match="succeeded"):
            await jobs.cancel(job.id)
        return done

    done = run(objects, speak, scenario)
    assert JobStore(objects).job(done.id) == done


def test_twenty_equal_submits_at_once_are_one_job(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        submits = (jobs.submit("synthesize", BODY, idempotency_key="k") for _ in range(20))
        accepted = await asyncio.gather(*submits)
        assert len({job.id for job in accepted}) == 1
        job = await jobs.wait(accepted[0].id, 10)
        assert await jobs.submit("synthesize", BODY, idempotency_key="k") == job
        return job

    begun = []

    async def work(request: JobRequest, files: AttemptFiles) -> JobOutput:
        begun.append(request.id)
        return await speak(request, files)

    assert [run(objects, work, scenario).id] == begun


def test_a_submit_that_broke_off_is_completed_by_its_repetition(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = FolderStore.create

    def failing(self: FolderStore, key: str, content: bytes) -> None:
        if key.endswith("request.json"):
            raise StorageUnavailable("down")
        create(self, key, content)

    async def scenario(jobs: JobClient) -> Job:
        with monkeypatch.context() as broken:
            broken.setattr(FolderStore, "create", failing)
            with pytest.raises(NotReady):
                await jobs.submit("synthesize", BODY, idempotency_key="k")
        job = await jobs.submit("synthesize", BODY, idempotency_key="k")
        return await jobs.wait(job.id, 10)

    job = run(objects, speak, scenario)
    assert job.status == "succeeded"


@pytest.mark.parametrize(
    "other",
    [
        {"body": {**BODY, "text": "다른 말"}},
        {"webhook_url": "https://example.com/other"},
        {"upload": b"clip"},
        {"job_type": "assistant"},
    ],
)
def test_a_key_stands_for_one_request_only(objects: ObjectStore, other: dict[str, object]) -> None:
    async def scenario() -> None:
        jobs = idle_client(objects, WebhookPolicy(is_accepted=True))
        asked = {"job_type": "synthesize", "body": BODY, "idempotency_key": "k"}
        await jobs.submit(**asked)  # type: ignore[arg-type]
        with pytest.raises(IdempotencyConflict):
            await jobs.submit(**asked | other)  # type: ignore[arg-type]

    asyncio.run(scenario())


def test_the_same_key_of_two_owners_is_two_jobs(objects: ObjectStore) -> None:
    async def scenario() -> set[str]:
        jobs = idle_client(objects)
        owners = ("a", "b", None)
        accepted = [
            await jobs.submit("synthesize", BODY, idempotency_key="k", owner=owner)
            for owner in owners
        ]
        return {job.id for job in accepted}

    assert len(asyncio.run(scenario())) == 3


@pytest.mark.parametrize("key", ["", " k", "k ", "a\nb", "가", "x" * 256])
def test_a_key_of_another_form_is_refused(objects: ObjectStore, key: str) -> None:
    with pytest.raises(InvalidInput, match="Idempotency-Key"):
        asyncio.run(idle_client(objects).submit("synthesize", BODY, idempotency_key=key))
    assert JobStore(objects).pending() == []


def test_an_owner_has_no_more_open_jobs_than_allowed(objects: ObjectStore) -> None:
    async def scenario() -> None:
        jobs = idle_client(objects, max_unfinished=3)
        submits = (jobs.submit("synthesize", BODY, owner="me") for _ in range(9))
        results = await asyncio.gather(*submits, return_exceptions=True)
        refused = [result for result in results if isinstance(result, TooManyJobs)]
        accepted = [result.id for result in results if isinstance(result, Job)]
        # Submits at the same instant may refuse each other, but never exceed the bound.
        assert len(refused) + len(accepted) == 9 and len(accepted) <= 3
        assert (refused[0].status, refused[0].extensions["limit"]) == (429, 3)
        assert refused[0].extensions["retry_after_s"] > 0
        for _ in range(3 - len(accepted)):
            accepted.append((await jobs.submit("synthesize", BODY, owner="me")).id)
        with pytest.raises(TooManyJobs):
            await jobs.submit("synthesize", BODY, owner="me")
        assert JobStore(objects).pending() == sorted(accepted)

    asyncio.run(scenario())


def test_a_place_is_free_again_when_a_job_has_ended(objects: ObjectStore) -> None:
    async def scenario() -> None:
        jobs = idle_client(objects, max_unfinished=1)
        first = await jobs.submit("synthesize", BODY, owner="me")
        with pytest.raises(TooManyJobs):
            await jobs.submit("synthesize", BODY, owner="me")
        JobStore(objects).settle(first.id)
        await jobs.submit("synthesize", BODY, owner="me")

    asyncio.run(scenario())


def test_owners_do_not_take_places_from_each_other(objects: ObjectStore) -> None:
    async def scenario() -> None:
        jobs = idle_client(objects, max_unfinished=1)
        for owner in ("me", "you", None, "anybody"):
            await jobs.submit("synthesize", BODY, owner=owner)
        with pytest.raises(TooManyJobs):
            await jobs.submit("synthesize", BODY)

    asyncio.run(scenario())


def test_a_repeated_request_is_answered_however_many_are_open(objects: ObjectStore) -> None:
    async def scenario() -> None:
        jobs = idle_client(objects, max_unfinished=1)
        first = await jobs.submit("synthesize", BODY, idempotency_key="k")
        assert await jobs.submit("synthesize", BODY, idempotency_key="k") == first
        with pytest.raises(TooManyJobs):
            await jobs.submit("synthesize", BODY, idempotency_key="other")
        JobStore(objects).settle(first.id)
        again = await jobs.submit("synthesize", BODY, idempotency_key="other")
        assert again.status == "starting"
        assert await jobs.submit("synthesize", BODY, idempotency_key="k") == first

    asyncio.run(scenario())


def test_an_owner_sees_no_other_owners_job(objects: ObjectStore) -> None:
    async def scenario() -> None:
        jobs = idle_client(objects)
        mine = await jobs.submit("synthesize", BODY, owner="me")
        for ask in (jobs.read, jobs.cancel, jobs.audio):
            with pytest.raises(UnknownJob):
                await ask(mine.id, owner="you")
        assert await jobs.read(mine.id, owner="me") == await jobs.read(mine.id)

    asyncio.run(scenario())


def test_pages_follow_each_other_from_the_newest_job_on(objects: ObjectStore) -> None:
    store = JobStore(objects)
    months = (1_700_000_000_000, 1_760_000_000_000, 1_790_000_000_000)
    ids = [f"job_{ms + number:012x}{'0' * 20}" for ms in months for number in range(3)]
    for number, job_id in enumerate(ids):
        owner = "me" if number % 2 else "you"
        store.accept(new_request(owner=owner).model_copy(update={"id": job_id}))
    mine = [job_id for number, job_id in enumerate(ids) if number % 2][::-1]

    async def scenario(owner: str | None) -> list[str]:
        jobs, cursor, found = idle_client(objects), None, []
        while True:
            page = await jobs.list(limit=2, cursor=cursor, owner=owner)
            found += [job.id for job in page.jobs]
            if (cursor := page.next_cursor) is None:
                return found
            assert len(page.jobs) == 2

    assert asyncio.run(scenario(None)) == ids[::-1]
    assert asyncio.run(scenario("me")) == mine


def test_an_owners_page_costs_nothing_for_jobs_of_others() -> None:
    objects = open_store(f"s3://{new_bucket()}/root", aws_server())
    store = JobStore(objects)
    for owner in ("you", "you", None, "me"):
        store.accept(new_request(owner=owner))
    listings = requests_made(objects, lambda: asyncio.run(idle_client(objects).list(owner="you-2")))
    assert listings == ["ListObjectsV2"]
    one = requests_made(objects, lambda: asyncio.run(idle_client(objects).list(owner="me")))
    assert sorted(one) == ["GetObject", "ListObjectsV2", "ListObjectsV2"]


def requests_made(objects: ObjectStore, call: Callable[[], object]) -> list[str]:
    """The operations that a call asks of S3."""
    events = objects._client.meta.events  # type: ignore[attr-defined]
    made: list[str] = []

    def note(model: Any, **_: object) -> None:
        made.append(model.name)

    events.register("before-call.s3", note)
    try:
        call()
    finally:
        events.unregister("before-call.s3", note)
    return made


def test_a_request_that_was_never_stored_is_left_out_of_the_list(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: FolderStore, key: str, content: bytes) -> None:
        raise StorageUnavailable("down")

    store, sound = JobStore(objects), new_request()
    store.accept(sound)
    with monkeypatch.context() as broken, pytest.raises(StorageUnavailable):
        broken.setattr(FolderStore, "create", failing)
        store.accept(new_request())
    page = asyncio.run(idle_client(objects).list(limit=1))
    assert page.jobs == [] and page.next_cursor is not None
    page = asyncio.run(idle_client(objects).list(limit=1, cursor=page.next_cursor))
    assert [job.id for job in page.jobs] == [sound.id] and page.next_cursor is None


def test_a_damaged_job_is_left_out_of_the_list(objects: ObjectStore) -> None:
    store = JobStore(objects)
    damaged, sound = new_request(), new_request()
    store.accept(sound)
    objects.write(f"{folder_of(damaged.id)}/request.json", b"{")
    page = asyncio.run(idle_client(objects).list())
    assert [job.id for job in page.jobs] == [sound.id]


@pytest.mark.parametrize(
    ("limit", "cursor"), [(0, None), (101, None), (5, ""), (5, "job_x"), (5, "../..")]
)
def test_a_page_that_does_not_exist_is_refused(
    objects: ObjectStore, limit: int, cursor: str | None
) -> None:
    with pytest.raises(InvalidInput):
        asyncio.run(idle_client(objects).list(limit, cursor))


def test_audio_and_captions_are_read_once_there_are_any(objects: ObjectStore) -> None:
    async def scenario(jobs: JobClient) -> Job:
        job = await jobs.submit("synthesize", BODY)
        await work.until(lambda: work.begun == [job.id])
        with pytest.raises(JobNotFinished):
            await jobs.audio(job.id)
        work.released.set()
        await jobs.wait(job.id, 10)
        stored = await jobs.audio(job.id)
        assert (stored.size_bytes, stored.format) == (len(job.id), "wav")
        assert await stored.read(4, 6) == job.id[4:10].encode()
        with pytest.raises(UnknownJob, match="no captions"):
            await jobs.captions(job.id, "srt")
        objects.delete(f"{folder_of(job.id)}/audio.wav")
        with pytest.raises(UnknownJob, match="deleted"):
            await jobs.audio(job.id)
        return job

    work = HeldWork()
    run(objects, work, scenario)


@pytest.mark.parametrize(
    ("policy", "url"),
    [
        (WebhookPolicy(is_accepted=False), "https://example.com"),
        (WebhookPolicy(is_accepted=True), "http://example.com"),
        (WebhookPolicy(is_accepted=True), "https://169.254.169.254/latest"),
    ],
)
def test_a_webhook_that_may_not_be_sent_is_refused_at_once(
    objects: ObjectStore, policy: WebhookPolicy, url: str
) -> None:
    with pytest.raises(InvalidInput, match="webhook_url"):
        asyncio.run(idle_client(objects, policy).submit("synthesize", BODY, webhook_url=url))
    assert JobStore(objects).pending() == []


def test_storage_that_does_not_answer_is_said_to_callers(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: FolderStore, key: str, content: bytes) -> None:
        raise StorageUnavailable("down")

    monkeypatch.setattr(FolderStore, "create", failing)
    with pytest.raises(NotReady, match="storage"):
        asyncio.run(idle_client(objects).submit("synthesize", BODY))
