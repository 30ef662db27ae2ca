"""Domain objects as the JSON of a reply."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from deployments.driver.catalog import Voice
from deployments.jobs.job import Job
from serve_app.problems import problem_response
from serve_app.schemas import Speaker

_MODELS_CREATED = 1767225600  # 2026-01-01T00:00:00Z; OpenAI's shape requires the field


def job_reply(job: Job) -> JSONResponse:
    """A job: 200 when it succeeded, 202 while it runs, its error's status when it failed."""
    location = {"Location": job.urls["get"]}
    if job.error is not None:
        return problem_response(job.error, location)
    status = 200 if job.status == "succeeded" else 202
    return JSONResponse(job.model_dump(), status, headers=location)


def describe_speaker(voice: Voice) -> Speaker:
    """A voice as `/speakers` shows it."""
    return Speaker(
        speaker_id=voice.record.name,
        version=voice.record.version,
        engine=voice.engine,
        language=voice.language,
        emotions=list(voice.emotions),
        description=voice.description,
        licence=voice.licence,
        created_at=voice.created_at,
    )


def openai_voice(voice: Voice) -> dict[str, Any]:
    """A voice as an entry of `/v1/audio/voices`."""
    return {
        "id": voice.record.name,
        "object": "voice",
        "version": voice.record.version,
        "language": voice.language,
        "emotions": list(voice.emotions),
    }


def openai_model(name: str) -> dict[str, Any]:
    """A model as an entry of `/v1/models`."""
    return {"id": name, "object": "model", "created": _MODELS_CREATED, "owned_by": "baewoo"}
