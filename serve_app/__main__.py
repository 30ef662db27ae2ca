"""`python -m serve_app`: start the service, say when it can be used, stop it without a trace.

Runs `serve run` on the given configuration as a child. Only this launcher reacts to Ctrl-C, SIGTERM
and a closed terminal: it then ends the child and every process that the child started.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import httpx
import psutil
import yaml
from pydantic import ValidationError

from models import assets
from models.persona.base_model import require_base_model
from serve_app.access.binding import OpenToEverybody, require_loopback
from serve_app.access.keys import InvalidKeys, key_ring
from serve_app.settings import CHECKOUT, Settings

_READY_TIMEOUT_S = 300
_STOP_TIMEOUT_S = 30
_POLL_INTERVAL_S = 0.5

_LOGS = Path(tempfile.gettempdir(), "ray", "session_latest", "logs", "serve")

_STARTING = f"""Starting Baewoo on {{url}}; the models take some 20 s to load.
Logs: {_LOGS}"""

_USAGE = """
Baewoo is ready on {url} (Ctrl-C stops it; API documentation: {url}/docs). Try, in another terminal:

  # a sentence, spoken
  curl -sS {url}/v1/audio/speech -H 'Content-Type: application/json' -o hello.wav \\
    -d '{{"model": "tts-1", "voice": "sinip", "response_format": "wav",
         "input": "안녕하세요, 오늘부터 출근한 신입입니다."}}'

  # a scene, answered in character and spoken; the reply names the recording
  curl -sS {url}/assistant -H 'Content-Type: application/json' \\
    -d '{{"character": "bujang", "prompt": "점심 메뉴를 고르는 중이다. [지문: 신나서]"}}' \\
    | tee reply.json && curl -sS -o line.wav \\
    {url}$(sed -n 's/.*"audio":"\\(\\/jobs[^"]*\\)".*/\\1/p' reply.json)
"""


def main() -> int:
    """Run the service until it is told to stop; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serve_app", description=__doc__)
    parser.add_argument("config", type=Path, nargs="?", default=CHECKOUT / "serve_config.yaml")
    config: Path = parser.parse_args().config
    try:
        port = check_preconditions(config)
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 2
    stop = threading.Event()

    def request_stop(signum: int, frame: FrameType | None) -> None:
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, request_stop)
    with tempfile.TemporaryDirectory(prefix="baewoo-") as folder:
        return _run(_with_port(config, port, Path(folder)), f"http://127.0.0.1:{port}", stop)


class CannotStart(Exception):
    """Something a person has to change before the service can start."""


def check_preconditions(config: Path) -> int:
    """The port to listen on.

    Raises:
        CannotStart: a setting is wrong, the port is taken, a file or a model is missing.
    """
    if not config.is_file():
        raise CannotStart(f"there is no configuration file {config}")
    try:
        settings = Settings()
        _require_keys_or_loopback(config, settings)
        assets.require(assets.KOKORO)
        require_base_model()
    except ValidationError as error:
        faults = (f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise CannotStart("; ".join(faults)) from error
    except (assets.AssetError, InvalidKeys, OpenToEverybody) as error:
        raise CannotStart(str(error)) from error
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.port))
        except OSError as error:
            message = f"port {settings.port}: {error.strerror}; another one: PORT=9000 make run"
            raise CannotStart(message) from error
    return settings.port


def _require_keys_or_loopback(config: Path, settings: Settings) -> None:
    """What the ingress checks again for itself, said before anything is started."""
    document = yaml.safe_load(config.read_text())
    keys = key_ring(settings.baewoo_api_keys, settings.baewoo_api_keys_file)
    access = [app.get("args", {}).get("access", {}) for app in document.get("applications", [])]
    if keys.is_empty and not all(each.get("allow_anonymous", False) for each in access):
        require_loopback(document.get("http_options", {}).get("host", "0.0.0.0"))


def _run(config: Path, url: str, stop: threading.Event) -> int:
    print(_STARTING.format(url=url), flush=True)
    serve = Path(sys.executable).with_name("serve")
    # A session of its own keeps the terminal's Ctrl-C from reaching Ray before the launcher.
    child = subprocess.Popen(
        [serve, "run", "--address", "local", config],
        start_new_session=True,
        env={"RAY_SERVE_LOG_TO_STDERR": "0", **os.environ},
    )
    family = _Family(child)
    try:
        return _attend(child, family, url, stop)
    finally:
        family.end()


def _with_port(config: Path, port: int, folder: Path) -> Path:
    """A copy of the configuration that listens on `port`."""
    document = yaml.safe_load(config.read_text())
    document.setdefault("http_options", {})["port"] = port
    copy = folder / config.name
    copy.write_text(yaml.safe_dump(document, allow_unicode=True))
    return copy


def _attend(
    child: subprocess.Popen[bytes], family: _Family, url: str, stop: threading.Event
) -> int:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    is_ready = False
    while not stop.wait(_POLL_INTERVAL_S):
        if child.poll() is not None:
            print(f"the service ended with status {child.returncode}", file=sys.stderr)
            return 1
        family.update()
        if is_ready:
            continue
        is_ready = _is_ready(url)
        if is_ready:
            print(_USAGE.format(url=url), flush=True)
        elif time.monotonic() > deadline:
            print(f"not ready after {_READY_TIMEOUT_S} s; see the logs in {_LOGS}", file=sys.stderr)
            return 1
    return 0


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


class _Family:
    """A child and all that it started, also what has lost its parent since."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._descendants: set[psutil.Process] = set()

    def update(self) -> None:
        """Take note of new descendants."""
        try:
            self._descendants.update(psutil.Process(self._child.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def end(self) -> None:
        """End them all: politely first, then for certain."""
        self.update()
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)  # on which `serve run` shuts Ray down
            try:
                self._child.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
        _, alive = psutil.wait_procs(self._descendants, timeout=5)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()


if __name__ == "__main__":
    sys.exit(main())
