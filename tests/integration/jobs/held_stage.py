"""A stage that tests hold and release through files, so that it outlives a restart of Ray."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import serve

from deployments.calls import call
from deployments.jobs.files import AttemptFiles
from deployments.jobs.job import AudioOutput, JobOutput, JobRequest, JobType
from deployments.jobs.worker import Work
from models.storage import ObjectStore


class HeldStage:
    """Speaks once it is released, and leaves a line in `log` whenever anything happens.

    Args:
        folder: of `log` and of `release`, an empty file that releases everybody.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    async def speak(self, job_id: str) -> bytes:
        """The audio of a job."""
        self._log("begun", job_id)
        try:
            while not (self._folder / "release").exists():
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            self._log("stopped", job_id)
            raise
        self._log("spoken", job_id)
        return job_id.encode()

    def _log(self, what: str, job_id: str) -> None:
        with (self._folder / "log").open("a") as log:
            log.write(f"{what} {job_id}\n")


FATAL = "fatal"
"""A text whose job ends the process that works on it, as a codec's segmentation fault does."""

_FATAL_AFTER_S = 0.5  # time enough for other jobs to begin beside it


def held_works(stages: Mapping[str, Any], objects: ObjectStore) -> dict[JobType, Work]:
    """Synthesis by the held stage alone."""

    async def synthesize(request: JobRequest, files: AttemptFiles) -> JobOutput:
        if request.input["text"] == FATAL:
            await asyncio.sleep(_FATAL_AFTER_S)
            os._exit(1)
        content = await call(stages["stage"].speak.remote(request.id))
        audio = AudioOutput(
            url=f"/jobs/{request.id}/audio",
            format="wav",
            sample_rate_hz=24_000,
            duration_s=1.0,
            etag="e",
            file=await asyncio.to_thread(files.write, "audio", "wav", content),
        )
        return JobOutput(audio=audio, voice="sinip@1")

    return {"synthesize": synthesize}


held_stage_deployment = serve.deployment(
    name="HeldStage", ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100
)(HeldStage)
