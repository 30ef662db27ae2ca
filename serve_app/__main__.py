"""`python -m serve_app`: start the service, say when it can be used, stop it without a trace.

Runs `serve run` on the given configuration as a child. Only this launcher reacts to Ctrl-C and
SIGTERM: it then ends the child and every process that the child started.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

import httpx
import psutil
import yaml

from serve_app.settings import CHECKOUT, Settings

_READY_TIMEOUT_S = 300
_STOP_TIMEOUT_S = 30
_POLL_INTERVAL_S = 0.5

_STARTING = """Starting Baewoo on {url}; the models take some 20 s to load.
Logs: {logs}"""

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
    arguments = parser.parse_args()
    port = Settings().port
    stop = threading.Event()

    def request_stop(signum: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, request_stop)
    signal.signal(signal.SIGTERM, request_stop)
    with tempfile.TemporaryDirectory(prefix="baewoo-") as folder:
        config = _with_port(arguments.config, port, Path(folder))
        serve = Path(sys.executable).with_name("serve")
        url = f"http://127.0.0.1:{port}"
        logs = Path(tempfile.gettempdir(), "ray", "session_latest", "logs", "serve")
        print(_STARTING.format(url=url, logs=logs), flush=True)
        # A session of its own keeps the terminal's Ctrl-C from reaching Ray before the launcher.
        child = subprocess.Popen(
            [serve, "run", "--address", "local", config],
            start_new_session=True,
            env={"RAY_SERVE_LOG_TO_STDERR": "0", **os.environ},
        )
        try:
            return _attend(child, url, stop)
        finally:
            _end(child)


def _with_port(config: Path, port: int, folder: Path) -> Path:
    """A copy of the configuration that listens on `port`."""
    document = yaml.safe_load(config.read_text())
    document.setdefault("http_options", {})["port"] = port
    copy = folder / config.name
    copy.write_text(yaml.safe_dump(document, allow_unicode=True))
    return copy


def _attend(child: subprocess.Popen[bytes], url: str, stop: threading.Event) -> int:
    started = time.monotonic()
    ready = False
    while not stop.wait(_POLL_INTERVAL_S):
        if child.poll() is not None:
            print(f"the service ended with status {child.returncode}", file=sys.stderr)
            return child.returncode or 1
        if ready:
            continue
        ready = _is_ready(url)
        if ready:
            print(_USAGE.format(url=url), flush=True)
        elif time.monotonic() - started > _READY_TIMEOUT_S:
            print(f"not ready after {_READY_TIMEOUT_S} s; see the log above", file=sys.stderr)
            return 1
    return 0


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and all its descendants: politely first, then for certain."""
    if child.poll() is not None:
        return
    descendants = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(signal.SIGINT)  # on which `serve run` shuts Serve and Ray down
    try:
        child.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
    _, alive = psutil.wait_procs(descendants, timeout=5)
    for process in alive:
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
