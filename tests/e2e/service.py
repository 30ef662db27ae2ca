"""The real service in a process of its own, as `make run` starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from serve_app.settings import CHECKOUT

START_TIMEOUT_S = 240


@dataclass(frozen=True)
class Service:
    """A running service: where it listens, what it printed, where it stores."""

    url: str
    storage: Path
    log: Path

    def printed_commands(self) -> list[str]:
        """The shell commands that the service shows a newcomer."""
        return re.findall(r"^  (curl.*?)\n\n", self.log.read_text(), re.M | re.S)


def events_of(reply: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a streamed reply, as they come."""
    for line in reply.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


@contextmanager
def running_service(folder: Path, args: dict[str, Any]) -> Iterator[Service]:
    """Start the service, wait until it says it is ready, stop it with SIGTERM.

    Fails if any process it started, or its port, outlives it.

    Args:
        folder: for its storage and what it prints.
        args: of the application, besides those of `serve_config.yaml`.
    """
    port = _free_port()
    service = Service(f"http://127.0.0.1:{port}", folder / "storage", folder / "service.log")
    environment = {**os.environ, "PORT": str(port), "BAEWOO_STORAGE": str(service.storage)}
    with service.log.open("w") as log:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "serve_app", _config(folder, args)],
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        _wait_until_ready(launcher, service.log)
        yield service
    finally:
        started = _descendants(launcher)
        launcher.send_signal(signal.SIGTERM)
        launcher.wait(60)
        _, alive = psutil.wait_procs(started, timeout=10)
        names = [process.name() for process in alive]
    assert not names, f"processes outlived the service: {names}"
    assert not _is_listening(port), f"port {port} is still open"


def _config(folder: Path, args: dict[str, Any]) -> Path:
    document = yaml.safe_load((CHECKOUT / "serve_config.yaml").read_text())
    document["applications"][0]["args"].update(args)
    config = folder / "serve_config.yaml"
    config.write_text(yaml.safe_dump(document, allow_unicode=True))
    return config


def _wait_until_ready(launcher: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while "Baewoo is ready" not in log.read_text():
        if launcher.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the service did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.5)


def _descendants(launcher: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(launcher.pid).children(recursive=True)
    except psutil.NoSuchProcess:  # it has ended, which the caller is about to say
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
