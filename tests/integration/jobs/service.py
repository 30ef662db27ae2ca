"""The job runner on a local Ray cluster, which tests start, kill and start again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from pydantic import SecretStr
from ray import serve

from deployments.job_runner import job_runner_deployment
from deployments.jobs.client import JobClient, WebhookPolicy
from deployments.jobs.notices.settings import NoticeSettings
from deployments.jobs.worker import WorkerLimits
from models.storage import AwsAccess, FolderStore
from tests.integration.jobs.held_stage import held_stage_deployment, held_works

APP = "jobs"
LIMITS = WorkerLimits(max_running=2, poll_interval_s=0.5, heartbeat_s=0.3, lease_s=1.5, max_lost=2)
NOTICES = NoticeSettings(
    webhook_secret=SecretStr("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"), webhook_allow_private=True
)


class JobService:
    """One storage root, and whatever life of the service works on it.

    Args:
        folder: of the root and of the stage's files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.objects = FolderStore(folder / "root")

    def start(self) -> None:
        """A new cluster with a new service."""
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20
        )
        serve.start(proxy_location="Disabled")
        self.deploy()

    def deploy(self) -> None:
        """The service, on the cluster that is there."""
        runner = job_runner_deployment.options(health_check_period_s=1).bind(
            stages={"stage": held_stage_deployment.bind(str(self._folder))},
            storage_root=str(self._folder / "root"),
            access=AwsAccess(),
            notices=NOTICES,
            limits=LIMITS,
            make_works=held_works,
        )
        serve.run(runner, name=APP, route_prefix=None)

    def stop(self) -> None:
        """The service ends in good order; the cluster stays."""
        serve.delete(APP)

    def kill(self) -> None:
        """The whole cluster goes, without a word to anybody in it."""
        ray.shutdown()

    @contextmanager
    def started_again(self) -> Iterator[None]:
        """The next life of the service, in a process of its own, until the block ends."""
        command = [sys.executable, "-m", __spec__.name, str(self._folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as life:
            yield
            assert life.poll() is None, "the service ended by itself"
            life.communicate()

    def kill_runner(self) -> None:
        """The replica of the job runner goes, without a word."""
        actors = ray.util.list_named_actors(all_namespaces=True)
        (runner,) = [actor for actor in actors if "JobRunner" in actor["name"]]
        ray.kill(ray.get_actor(runner["name"], namespace=runner["namespace"]))

    def client(self) -> JobClient:
        """What an ingress would hold."""
        runner = serve.get_deployment_handle("JobRunner", APP)
        return JobClient(self.objects, runner, WebhookPolicy(True, allow_private=True))

    def hold(self) -> None:
        """From now on the stage waits, and its log is empty."""
        for name in ("release", "log"):
            (self._folder / name).unlink(missing_ok=True)

    def release(self) -> None:
        """The stage speaks, now and later."""
        (self._folder / "release").touch()

    def count(self, what: str, job_id: str) -> int:
        """How often the stage has `begun`, `stopped` or `spoken` a job."""
        log = self._folder / "log"
        return log.read_text().splitlines().count(f"{what} {job_id}") if log.exists() else 0


def until(holds: Callable[[], bool], timeout_s: float = 30) -> None:
    """Return once something holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def main() -> None:
    """Serve until standard input ends."""
    JobService(Path(sys.argv[1])).start()
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
