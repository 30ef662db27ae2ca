import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from deployments.driver.audio_format import audio_format
from deployments.errors import TextTooLong, UnknownJob
from deployments.jobs.job import Job, JobOutput
from deployments.jobs.records import JobStore
from deployments.jobs.running import JobRunner
from models.storage import FolderStore, ObjectExists


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(FolderStore(tmp_path))


async def silence() -> AsyncIterator[np.ndarray]:
    for _ in range(2):
        yield np.zeros(2400, np.float32)


def run(store: JobStore, fails: bool = False) -> Job:
    runner = JobRunner(store)

    async def work(job: Job) -> JobOutput:
        if fails:
            raise TextTooLong("too long", {"limit": 5})
        audio = await runner.record(job, silence(), audio_format("wav"), 24_000)
        return JobOutput(audio=audio, voice="sinip@1", emotion="neutral")

    async def scenario() -> Job:
        return await (await runner.start("synthesize", {"text": "안녕"}, work))

    return asyncio.run(scenario())


def test_a_job_is_stored_below_the_month_its_id_names(store: JobStore, tmp_path: Path) -> None:
    job = store.create("synthesize", {})
    today = datetime.now(UTC)
    assert (tmp_path / f"jobs/{today:%Y}/{today:%m}/{job.id}/request.json").is_file()


def test_a_finished_job_is_read_back_with_its_audio(store: JobStore) -> None:
    job = run(store)
    assert job.status == "succeeded"
    assert job.output is not None
    assert job.output.audio.duration_s == 0.2
    assert store.read(job.id) == job
    assert len(store.read_audio(job)) == 44 + 2 * 4800


def test_a_failed_job_keeps_its_reason_and_has_no_audio(store: JobStore) -> None:
    job = run(store, fails=True)
    assert job.error is not None
    assert (job.status, job.error["status"], job.error["limit"]) == ("failed", 400, 5)
    assert store.read(job.id) == job
    with pytest.raises(UnknownJob, match="no audio"):
        store.read_audio(job)


def test_a_job_is_processing_until_its_result_is_written(store: JobStore) -> None:
    job = store.create("synthesize", {"text": "안녕"})
    assert store.read(job.id).status == "processing"


def test_a_result_is_written_once(store: JobStore) -> None:
    job = run(store)
    with pytest.raises(ObjectExists):
        store.finish(job)


@pytest.mark.parametrize("job_id", ["", "job_", "../x", "job_" + "f" * 32, "job_" + "0" * 32])
def test_an_unknown_job_is_refused(store: JobStore, job_id: str) -> None:
    with pytest.raises(UnknownJob):
        store.read(job_id)
