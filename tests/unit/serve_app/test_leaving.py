"""A caller who leaves while a voice is made of its clip."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.jobs.job import Job
from serve_app.routes.speakers import _while_awaited
from tests.unit.jobs.jobs import new_request

JOB = new_request("register_speaker").as_job()


class Jobs:
    """Waits for ever, and keeps what was abandoned."""

    def __init__(self) -> None:
        self.abandoned: list[str] = []
        self.waiting = asyncio.Event()

    async def wait(self, job_id: str, timeout_s: float) -> Job:
        self.waiting.set()
        await asyncio.Event().wait()
        return JOB

    def abandon(self, job_id: str) -> None:
        self.abandoned.append(job_id)


async def left(when: Callable[[Jobs], Awaitable[object]], accepts: asyncio.Event) -> list[str]:
    """What is abandoned when the caller leaves at a moment, and the job is accepted later."""

    async def submit() -> Job:
        await accepts.wait()
        return JOB

    jobs = Jobs()
    edge: Any = SimpleNamespace(jobs=jobs)
    asking = asyncio.create_task(_while_awaited(edge, submit()))
    await when(jobs)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    accepts.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return jobs.abandoned


def test_the_job_of_a_caller_who_leaves_while_it_waits_is_abandoned() -> None:
    async def scenario() -> list[str]:
        accepts = asyncio.Event()
        accepts.set()
        return await left(lambda jobs: jobs.waiting.wait(), accepts)

    assert asyncio.run(scenario()) == [JOB.id]


def test_the_job_of_a_caller_who_leaves_while_it_is_accepted_is_abandoned() -> None:
    async def scenario() -> list[str]:
        return await left(lambda jobs: asyncio.sleep(0), asyncio.Event())

    assert asyncio.run(scenario()) == [JOB.id]
