import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from models import assets
from serve_app.__main__ import CannotStart, _Family, check_preconditions
from serve_app.settings import CHECKOUT

CONFIG = CHECKOUT / "serve_config.yaml"


@pytest.fixture(autouse=True)
def prepared_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All models seem to be there; `BAEWOO_MODELS` of a test says otherwise."""
    monkeypatch.setattr("serve_app.__main__.assets.require", lambda asset: tmp_path)
    monkeypatch.setattr("serve_app.__main__.require_base_model", lambda: tmp_path)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_is_named(taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(taken_port))
    with pytest.raises(CannotStart, match=f"port {taken_port}"):
        check_preconditions(CONFIG)


@pytest.mark.parametrize("port", ["abc", "0", "70000"])
def test_an_impossible_port_is_named(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(CannotStart, match="port"):
        check_preconditions(CONFIG)


@pytest.mark.parametrize("folder", ["relative", "./data", "~/baewoo"])
def test_a_storage_that_is_no_absolute_folder_is_refused(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAEWOO_STORAGE", folder)
    with pytest.raises(CannotStart, match="absolute folder"):
        check_preconditions(CONFIG)


def test_a_service_that_others_reach_needs_keys_or_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.read_text().replace("host: 127.0.0.1", "host: 0.0.0.0"))
    with pytest.raises(CannotStart, match="0.0.0.0"):
        check_preconditions(config)
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("BAEWOO_API_KEYS", f"alice:{'0' * 64}")
    assert check_preconditions(config)
    monkeypatch.delenv("BAEWOO_API_KEYS")
    config.write_text(config.read_text().replace("allow_anonymous: false", "allow_anonymous: true"))
    assert check_preconditions(config)


def test_a_broken_key_is_named_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAEWOO_API_KEYS", "bw_secret")
    with pytest.raises(CannotStart, match="name:sha256") as raised:
        check_preconditions(CONFIG)
    assert "bw_secret" not in str(raised.value)


def test_an_empty_setting_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("BAEWOO_STORAGE", "")
    assert check_preconditions(CONFIG) == port


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="nothing.yaml"):
        check_preconditions(tmp_path / "nothing.yaml")


def test_a_missing_model_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(asset: assets.Asset) -> Path:
        raise assets.AssetError("model x is not there; fetch it with: python -m models.fetch")

    monkeypatch.setattr("serve_app.__main__.assets.require", missing)
    with pytest.raises(CannotStart, match="models.fetch"):
        check_preconditions(CONFIG)


def test_what_a_killed_child_left_behind_is_ended() -> None:
    grandchild = "import time; time.sleep(600)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    child = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    family = _Family(child)
    parent = psutil.Process(child.pid)
    while not (orphans := parent.children()):
        time.sleep(0.01)
    family.update()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    ended = threading.Thread(target=family.end)
    ended.start()
    gone, alive = psutil.wait_procs(orphans, timeout=30)
    ended.join()
    assert (len(gone), alive) == (1, [])
