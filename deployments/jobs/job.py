"""A job as callers see it, and the request of one as it is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

JobType = Literal["register_speaker", "synthesize", "assistant"]
JobStatus = Literal["starting", "processing", "succeeded", "failed", "canceled"]

FINAL_STATUSES = ("succeeded", "failed", "canceled")


class AudioOutput(BaseModel):
    """Where a job's audio lies and what it is; `file` is its name in the job's folder."""

    url: str
    format: str
    sample_rate_hz: int
    duration_s: float
    etag: str
    file: str


class CaptionsOutput(BaseModel):
    """Where the sentences of the audio lie, with their times; the files stand beside the audio."""

    srt: str
    vtt: str
    srt_file: str
    vtt_file: str


class JobOutput(BaseModel):
    """What a job made; a registration has made a voice, and no audio."""

    audio: AudioOutput | None = None
    voice: str
    emotion: str | None = None
    text: str | None = None
    persona: str | None = None
    seed: int | None = None
    captions: CaptionsOutput | None = None
    clip: dict[str, Any] | None = Field(
        default=None, description="What was measured and heard of a registered clip."
    )


class Job(BaseModel):
    """A piece of work and, once it is done, its result."""

    id: str
    type: JobType
    status: JobStatus
    created_at: str
    started_at: str | None = None
    completed_at: str | None = None
    input: dict[str, Any]
    output: JobOutput | None = None
    error: dict[str, Any] | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    urls: dict[str, str]

    @property
    def is_finished(self) -> bool:
        """Whether nothing about the job changes any more."""
        return self.status in FINAL_STATUSES


def seconds_waited(job: Job) -> float:
    """From a job's acceptance to its first attempt, by the clocks of two machines perhaps."""
    if job.started_at is None:
        return 0.0
    waited = datetime.fromisoformat(job.started_at) - datetime.fromisoformat(job.created_at)
    return max(0.0, waited.total_seconds())


class JobRequest(BaseModel):
    """What was asked, by whom, and who else is to be told; it never changes.

    `owner` is the id of an API key, or None where none are configured.
    """

    id: str
    type: JobType
    created_at: str
    input: dict[str, Any]
    owner: str | None = None
    request_id: str = "-"
    webhook_url: str | None = None

    def as_job(self) -> Job:
        """The job before anyone has begun with it."""
        url = f"/jobs/{self.id}"
        return Job(
            id=self.id,
            type=self.type,
            status="starting",
            created_at=self.created_at,
            input=self.input,
            urls={"get": url, "cancel": f"{url}/cancel"},
        )


class Lease(BaseModel):
    """One attempt at a job, and the sign of life of whoever makes it.

    Args:
        job_id: the job.
        attempt: from 1; a later attempt ends every earlier one.
        num_lost: how many earlier attempts ended without a word.
        claimed_at: when the attempt began.
        holder: tells two holders apart.
        beat: counts up as long as the holder lives.
        is_released: the holder has given the job back.
    """

    job_id: str
    attempt: int
    num_lost: int
    claimed_at: str
    holder: str
    beat: int = 0
    is_released: bool = False

    def next_beat(self) -> Self:
        """The lease with one more sign of life."""
        return self.model_copy(update={"beat": self.beat + 1})
