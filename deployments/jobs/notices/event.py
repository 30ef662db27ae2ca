"""The notice that a job has ended: the same words and the same id however often it is sent."""

from __future__ import annotations

from typing import Any

from deployments.jobs.ids import folder_of
from deployments.jobs.job import Job
from models.storage import ObjectStore

SCHEMA_VERSION = 1


def event_id_of(job_id: str) -> str:
    """The id of a job's one notice, by which a receiver knows it again."""
    return job_id.replace("job_", "evt_", 1)


def notice_of(job: Job, objects: ObjectStore) -> dict[str, Any]:
    """What is told of a finished job: where its audio lies, in the bucket or over HTTP.

    Never a link that opens it by itself, and nothing of how this machine's disk is laid out.
    """
    output = None
    if job.output is not None and (audio := job.output.audio) is not None:
        output = {
            "uri": objects.uri(f"{folder_of(job.id)}/{audio.file}") or audio.url,
            "etag": audio.etag,
            "duration_s": audio.duration_s,
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "event_id": event_id_of(job.id),
        "job_id": job.id,
        "type": job.type,
        "status": job.status,
        "output": output,
        "error": job.error,
        "occurred_at": job.completed_at,
    }
