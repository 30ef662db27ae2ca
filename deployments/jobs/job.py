"""A job as callers see it and as it is stored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class AudioOutput(BaseModel):
    """Where a job's audio lies and what it is."""

    url: str
    format: str
    sample_rate_hz: int
    duration_s: float
    etag: str


class JobOutput(BaseModel):
    """What a job made."""

    audio: AudioOutput
    voice: str
    emotion: str
    text: str | None = None
    persona: str | None = None
    seed: int | None = None


class Job(BaseModel):
    """A piece of work and, once it is done, its result."""

    id: str
    type: Literal["synthesize", "assistant"]
    status: Literal["processing", "succeeded", "failed"]
    created_at: str
    completed_at: str | None = None
    input: dict[str, Any]
    output: JobOutput | None = None
    error: dict[str, Any] | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    urls: dict[str, str]
