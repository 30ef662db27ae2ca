"""Jobs and their results in the storage root.

    jobs/<yyyy>/<mm>/<job_id>/request.json    written when the job is accepted
                              audio.<ext>     written when the audio is complete
                              result.json     written last, once: it is what makes a job done

A job id carries its creation time, so the folder of a job follows from its id alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ValidationError

from deployments.errors import DamagedRecord, JobNotFinished, UnknownJob
from deployments.jobs.job import AudioOutput, Job
from models.storage import ObjectNotFound, ObjectStore

JobType = Literal["synthesize", "assistant"]

# 48 bits of milliseconds and 80 random bits, as a version 7 UUID orders them.
_JOB_ID = re.compile(r"job_([0-9a-f]{12})([0-9a-f]{20})")


@dataclass(frozen=True)
class Audio:
    """A finished recording: the bytes of a file in `format`."""

    content: bytes
    format: str
    sample_rate: int
    duration_s: float


class JobStore:
    """Reads and writes jobs; all calls block.

    Args:
        objects: the storage root.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def create(self, job_type: JobType, body: dict[str, Any]) -> Job:
        """Accept a job: give it an id and store what was asked."""
        job_id = f"job_{int(time.time() * 1000):012x}{secrets.token_hex(10)}"
        job = Job(
            id=job_id,
            type=job_type,
            status="processing",
            created_at=_now(),
            input=body,
            urls={"get": f"/jobs/{job_id}"},
        )
        self._objects.create(f"{_folder(job_id)}/request.json", _encode(job))
        return job

    def store_audio(self, job: Job, audio: Audio) -> AudioOutput:
        """Write a job's recording, before its result."""
        self._objects.write(f"{_folder(job.id)}/audio.{audio.format}", audio.content)
        return AudioOutput(
            url=f"/jobs/{job.id}/audio",
            format=audio.format,
            sample_rate_hz=audio.sample_rate,
            duration_s=round(audio.duration_s, 3),
            etag=hashlib.sha256(audio.content).hexdigest()[:32],
            file=f"audio.{audio.format}",
        )

    def finish(self, job: Job) -> Job:
        """Write a job's result, whether it succeeded or failed; only the first one counts."""
        done = job.model_copy(update={"completed_at": _now()})
        if done.output is not None:
            done.urls["audio"] = done.output.audio.url
        self._objects.create(f"{_folder(job.id)}/result.json", _encode(done))
        return done

    def read(self, job_id: str) -> Job:
        """The job as it stands.

        Raises:
            UnknownJob: no job has this id.
            DamagedRecord: what is stored of it is no job.
        """
        folder = _folder(job_id)
        for name in ("result.json", "request.json"):
            try:
                return Job.model_validate_json(self._objects.read(f"{folder}/{name}"))
            except ObjectNotFound:
                continue
            except ValidationError as error:
                raise DamagedRecord(f"{name} of job {job_id} can't be read") from error
        raise UnknownJob(f"no job is called {job_id!r}")

    def read_audio(self, job: Job) -> bytes:
        """The bytes of a finished job's recording.

        Raises:
            JobNotFinished: the job is still processing.
            UnknownJob: it failed, or its recording was deleted.
        """
        if job.status == "processing":
            raise JobNotFinished(f"job {job.id} is still processing", {"retry_after_s": 1})
        if job.output is None:
            raise UnknownJob(f"job {job.id} has no audio; its status is {job.status}")
        try:
            return self._objects.read(f"{_folder(job.id)}/audio.{job.output.audio.format}")
        except ObjectNotFound:
            raise UnknownJob(f"the audio of job {job.id} is no longer stored") from None


def _folder(job_id: str) -> str:
    match = _JOB_ID.fullmatch(job_id)
    if match is None:
        raise UnknownJob(f"{job_id[:80]!r} is not a job id")
    try:
        created = datetime.fromtimestamp(int(match.group(1), 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise UnknownJob(f"no job is called {job_id!r}") from None
    return f"jobs/{created:%Y}/{created:%m}/{job_id}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encode(job: Job) -> bytes:
    return json.dumps(job.model_dump(), ensure_ascii=False, indent=1).encode()
