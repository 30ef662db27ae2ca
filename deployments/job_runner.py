"""JobRunner: finishes accepted jobs, whoever still waits for them. A shim around its worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import Field
from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.args import StrictArgs
from deployments.jobs.job import JobType
from deployments.jobs.notices.notifier import Notifier
from deployments.jobs.notices.settings import NoticeSettings
from deployments.jobs.store import JobStore
from deployments.jobs.work import all_works
from deployments.jobs.worker import JobWorker, Work, WorkerLimits
from deployments.messages import StageStats
from models.storage import AwsAccess, ObjectStore, open_store

Stages = Mapping[str, DeploymentHandle[Any]]
MakeWorks = Callable[[Stages, ObjectStore], Mapping[JobType, Work]]


class JobRunnerArgs(StrictArgs):
    """Settings of the job runner; see `WorkerLimits`."""

    max_running: int = Field(default=4, ge=1, description="Jobs of one replica in the stages.")
    poll_interval_s: float = Field(default=2.0, gt=0, le=60)
    heartbeat_s: float = Field(default=3.0, gt=0, le=60)
    lease_s: float = Field(default=12.0, gt=0, le=600, description="A silent job is taken over.")
    run_timeout_s: float = Field(default=900.0, gt=0, description="Longest run of one job.")
    max_lost: int = Field(default=3, ge=1, description="Runs that may die before the job fails.")

    def limits(self) -> WorkerLimits:
        """The limits of a replica's worker."""
        return WorkerLimits(**self.model_dump())


class JobRunner:
    """Works from its start on, also on what an earlier life of the service has left.

    Args:
        stages: handles of what does the work, by name.
        storage_root: folder or `s3://…` of jobs and voices.
        access: how S3 and SQS are reached.
        notices: who is told of a job's end.
        limits: how much is taken on.
        make_works: how each type of job is done with the stages.
    """

    def __init__(
        self,
        stages: dict[str, DeploymentHandle[Any]],
        storage_root: str,
        access: AwsAccess,
        notices: NoticeSettings,
        limits: WorkerLimits,
        make_works: MakeWorks = all_works,
    ) -> None:
        objects = open_store(storage_root, access)
        objects.check_writable()
        objects.sweep()
        self._worker = JobWorker(
            JobStore(objects),
            make_works(stages, objects),
            Notifier(objects, notices, access),
            limits,
        )
        # Serve runs constructors on the event loop that later runs the methods.
        self._worker.start()

    async def ready(self) -> bool:
        """Whether jobs are being looked for."""
        return self._worker.is_alive

    async def check_health(self) -> None:
        """Serve replaces a replica for which this raises."""
        if not self._worker.is_alive:
            raise RuntimeError("the job runner's loop has ended")

    async def stats(self) -> StageStats:
        """Jobs that this replica has in the stages, and jobs that wait for any replica."""
        return StageStats(self._worker.num_running, self._worker.num_waiting, 0.0)

    async def wake(self) -> None:
        """There is a new job."""
        self._worker.wake()

    async def wait(self, job_id: str, timeout_s: float) -> None:
        """Return when a job has ended or the time is over; leaving the call changes nothing."""
        await self._worker.wait(job_id, timeout_s)

    async def job_ended(self, job_id: str) -> None:
        """A caller has canceled a job."""
        self._worker.job_ended(job_id)

    def __del__(self) -> Awaitable[None] | None:
        """Give the jobs back: the next runner need not wait until the leases run out.

        Serve calls this when it stops a replica, and awaits what it returns; Python calls it once
        more, perhaps on a runner whose constructor has failed.
        """
        worker = getattr(self, "_worker", None)
        return worker.stop() if worker is not None and worker.is_alive else None


job_runner_deployment = serve.deployment(
    name="JobRunner",
    ray_actor_options={"num_cpus": 0.05},
    max_ongoing_requests=1000,  # callers that wait; max_running bounds the work
)(JobRunner)
