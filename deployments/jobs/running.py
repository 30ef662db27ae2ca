"""Jobs at work: apart from the request that asked, so that a caller who leaves cancels nothing.

A job lives as long as the process that accepted it; `request.json` without `result.json` is what a
killed process leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.driver.audio_format import AudioFormat, encode_whole
from deployments.driver.request_context import current_request_id, current_timings
from deployments.errors import GenerationFailed
from deployments.jobs.job import AudioOutput, Job, JobOutput
from deployments.jobs.records import Audio, JobStore, JobType
from deployments.problems import problem_document, to_speech_error

logger = logging.getLogger("ray.serve")

Work = Callable[[Job], Awaitable[JobOutput]]


class JobRunner:
    """Runs jobs as tasks of the current event loop.

    Args:
        store: where requests, recordings and results are kept.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._running: set[asyncio.Task[Job]] = set()

    async def start(self, job_type: JobType, body: dict[str, Any], work: Work) -> asyncio.Task[Job]:
        """Store the request and begin; the task ends with the job, succeeded or failed."""
        job = await asyncio.to_thread(self._store.create, job_type, body)
        task = asyncio.create_task(self._run(job, work), name=job.id)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def record(
        self,
        job: Job,
        waveforms: AsyncIterator[NDArray[np.float32]],
        encoding: AudioFormat,
        sample_rate: int,
    ) -> AudioOutput:
        """Collect a recording and store it as the job's audio.

        Raises:
            GenerationFailed: there is no audio.
        """
        pieces = [waveform async for waveform in waveforms]
        if not pieces:
            raise GenerationFailed("no audio was made")
        waveform = np.concatenate(pieces)
        # Encoding a long recording takes seconds, in which other requests must be answered.
        content = await asyncio.to_thread(encode_whole, waveform, encoding, sample_rate)
        audio = Audio(content, encoding.name, sample_rate, len(waveform) / sample_rate)
        return await asyncio.to_thread(self._store.store_audio, job, audio)

    async def _run(self, job: Job, work: Work) -> Job:
        try:
            with current_timings().measure("job"):
                output = await work(job)
        except Exception as error:
            problem = problem_document(to_speech_error(error), current_request_id()) | {
                "job": job.id
            }
            job = job.model_copy(update={"status": "failed", "error": problem})
        else:
            job = job.model_copy(update={"status": "succeeded", "output": output})
        job.metrics.update(
            {f"{stage}_s": round(s, 3) for stage, s in current_timings().seconds.items()}
        )
        try:
            return await asyncio.to_thread(self._store.finish, job)
        except Exception as error:
            # The caller who waits still learns how it ended; a later one finds it processing.
            logger.exception("the result of %s could not be stored", job.id)
            problem = problem_document(to_speech_error(error), current_request_id()) | {
                "job": job.id
            }
            return job.model_copy(update={"status": "failed", "error": problem, "output": None})


def _problem_of(error: Exception, job: Job) -> dict[str, Any]:
    return problem_document(to_speech_error(error), current_request_id()) | {"job": job.id}
