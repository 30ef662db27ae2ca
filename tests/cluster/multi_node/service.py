"""The real service on several Ray nodes of this machine, with custom resources in place of GPUs.

Every node has an HTTP proxy, and all of them listen on one port, so that new connections go to the
nodes that are left: what a Kubernetes service does.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from ray._private.authentication_test_utils import reset_auth_token_state
from ray._private.node import Node
from ray.cluster_utils import Cluster
from ray.dashboard.modules.serve.sdk import ServeSubmissionClient

from serve_app.settings import CHECKOUT

EDGE = ("Ingress", "JobRunner", "TextFrontend", "PersonaLLM", "VoiceEncoder")
STAGES = ("KokoroVoice", "SemanticDecoder", "Vocoder")
TIMEOUT_S = 300

Config = dict[str, Any]


def wait_until(is_true: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Ask again and again, and fail when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for {what}"
        time.sleep(0.5)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def agent_ports() -> dict[str, Any]:
    """Ports for a node's agents: a node whose agents choose theirs waits for them, 15 s at most."""
    names = (
        "metrics_agent_port",
        "metrics_export_port",
        "runtime_env_agent_port",
        "dashboard_agent_listen_port",
    )
    return {name: free_port() for name in names}


def start_node(cluster: Cluster, **args: Any) -> Node:
    """A further node, or the head where there is none.

    Ray gives a node up whose agents take longer than 15 s, as they may on a busy machine: what is
    left of it is ended, and it is tried again.
    """
    for _ in range(3):
        before = _descendants()
        try:
            return cluster.add_node(**args)
        except Exception as error:  # Ray raises no narrower one
            reason = error
            _end(_descendants() - before)
    raise reason


def _descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _end(processes: set[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=30)


@dataclass
class ClusterService:
    """A Ray cluster, and the service that it runs."""

    folder: Path
    cluster: Cluster
    head_args: dict[str, Any]
    url: str
    config: Config
    nodes: dict[str, Node] = field(default_factory=dict)
    """Worker nodes by the name they were given here."""

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.head_args['dashboard_port']}"

    def add_node(self, name: str, resources: dict[str, float]) -> None:
        """A further node, and what of it there is."""
        args = {"num_cpus": 4, "resources": resources, **agent_ports()}
        self.nodes[name] = start_node(self.cluster, **args)

    def lose_node(self, name: str) -> None:
        """Take a node away without a warning."""
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)

    def lose_head(self) -> None:
        """End the head and all that runs on it: Ray's control plane and Serve's controller."""
        head = self.cluster.head_node
        assert head is not None
        self.cluster.remove_node(head, allow_graceful=False)

    def start_head(self) -> None:
        """A new head in the place of the one before."""
        start_node(self.cluster, **self.head_args)

    def deploy(self, config: Config) -> None:
        """`serve deploy`, as an operator says it."""
        self.config = config
        path = self.folder / "serve_config.yaml"
        path.write_text(yaml.safe_dump(config, allow_unicode=True))
        serve = Path(sys.executable).with_name("serve")
        subprocess.run([serve, "deploy", "--address", self.dashboard, path], check=True)

    def train(self, job: str, config: Path, *options: str | Path) -> None:
        """`ray job submit` of a training job, as a person says it; fails with its own output."""
        ray = Path(sys.executable).with_name("ray")
        address = ("--address", self.dashboard, "--working-dir", CHECKOUT)
        command = (sys.executable, "-m", f"training.{job}", "--config", config, *options)
        done = subprocess.run(
            [ray, "job", "submit", *address, "--", *command], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]

    def replicas(self) -> dict[str, list[str]]:
        """The names of the nodes that each deployment's running replicas are on."""
        names = {node.node_id: name for name, node in self.nodes.items()}
        application = self._application()
        return {
            deployment["name"]: sorted(
                names.get(replica["node_id"], "head")
                for replica in deployment["replicas"]
                if replica["state"] == "RUNNING"
            )
            for deployment in application["deployments"].values()
        }

    def replica_ids(self, *deployments: str) -> set[str]:
        """The ids of these deployments' running replicas."""
        application = self._application()
        return {
            replica["replica_id"]
            # Serve lists no deployments while it builds an application anew.
            for name, deployment in application["deployments"].items()
            for replica in deployment["replicas"]
            if name in deployments and replica["state"] == "RUNNING"
        }

    def is_settled(self) -> bool:
        """Whether Serve has brought about all that the configuration asks for."""
        application = self._application()
        statuses = {each["status"] for each in application["deployments"].values()}
        return application["status"] == "RUNNING" and statuses == {"HEALTHY"}

    def is_ready(self) -> bool:
        """Whether the service says that a request would succeed."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=10).status_code == 200
        except httpx.HTTPError:
            return False

    def _application(self) -> dict[str, Any]:
        """What Serve says of the application: nothing while there is no head, or a new one."""
        try:
            details = ServeSubmissionClient(self.dashboard).get_serve_details()
        except (OSError, RuntimeError):
            details = {"applications": {}}
        nothing = {"status": "NOT_STARTED", "deployments": {}}
        return dict(next(iter(details["applications"].values()), nothing))


def placed_config(port: int) -> Config:
    """`serve_config.yaml`, with a place for every deployment, as on the CPU cluster."""
    config: Config = yaml.safe_load((CHECKOUT / "serve_config.yaml").read_text())
    config["proxy_location"] = "EveryNode"
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    (application,) = config["applications"]
    application["args"]["admission"]["max_queued_audio_s"] = 240
    for deployment in application["deployments"]:
        name = deployment["name"]
        deployment["ray_actor_options"]["resources"] = {"stage" if name in STAGES else "edge": 1}
        # Where both nodes have their replica there is no room for a third one during an update.
        if name in STAGES:
            deployment |= {"num_replicas": 2, "max_replicas_per_node": 1}
        else:
            deployment["max_surge_percent"] = 100
    return config


@contextmanager
def running_cluster(
    folder: Path, head_args: Mapping[str, Any] | None = None, **environment: str
) -> Iterator[ClusterService]:
    """The service on a head without replicas, node `a` (edge and stages) and node `b` (stages).

    Ray asks for a token, as on a real cluster. Fails if a process outlives it.

    Args:
        folder: for its storage and its configuration.
        head_args: of the head node, besides those that every test needs.
        environment: of all nodes, besides what every test needs.
    """
    head = {
        "num_cpus": 0,
        "include_dashboard": True,
        "dashboard_host": "127.0.0.1",
        "dashboard_port": free_port(),
        "gcs_server_port": free_port(),
        **agent_ports(),
        **(head_args or {}),
    }
    with _environment(BAEWOO_STORAGE=str(folder / "storage"), **environment):
        others = _descendants()
        cluster = Cluster()
        try:
            start_node(cluster, **head)
            yield _served(folder, cluster, head)
        finally:
            started = _descendants() - others
            cluster.shutdown()
            _, alive = psutil.wait_procs(started, timeout=30)
            names = [process.name() for process in alive]
    assert not names, f"processes outlived the cluster: {names}"


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """What every node inherits; Ray in this process reads the token anew."""
    before = dict(os.environ)
    os.environ.update(
        variables,
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
    )
    reset_auth_token_state()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        reset_auth_token_state()


def _served(folder: Path, cluster: Cluster, head: dict[str, Any]) -> ClusterService:
    port = free_port()
    service = ClusterService(folder, cluster, head, f"http://127.0.0.1:{port}", placed_config(port))
    service.add_node("a", {"edge": 100, "stage": 100})
    service.add_node("b", {"stage": 100})
    service.deploy(service.config)
    wait_until(service.is_ready, "the service to be ready")
    wait_until(service.is_settled, "all replicas")
    return service
