"""Jobs as replies, and how the routes that answer with one are documented."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from deployments.jobs.job import Job
from serve_app.openapi import Responses
from serve_app.problems import problem_response

JOB_REPLIES: Responses = {
    200: {"model": Job, "description": "The job has ended."},
    202: {
        "model": Job,
        "description": "The job goes on; ask for it at `Location`.",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
}


def job_reply(job: Job) -> JSONResponse:
    """A job: 200 when it succeeded or was canceled, 202 while it runs, else its error's status."""
    headers = {"Location": job.urls["get"]}
    if job.error is not None:
        return problem_response(job.error, headers)
    return JSONResponse(job.model_dump(mode="json"), 200 if job.is_finished else 202, headers)
