"""The program that fetches large weights, against a model hub on loopback."""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from models.zonos.published import zonos_checkpoint_from_json
from tests.cluster.manifests import CHECKOUT, KUBERNETES

PAGE = (CHECKOUT / "docs/deploy/kubernetes.md").read_text()
CONFIGS = (
    "cluster/kubernetes/gpu/serve_config.yaml",
    "cluster/kubernetes/gpu-24gb/serve_config.yaml",
    "cluster/cloud-run/serve_config.yaml",
)

REPOSITORY = "maker/small-model"
COMMIT = "a" * 40
FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 100}
DANGEROUS = {"pytorch_model.bin": b"pickle", "modeling.py": b"import os"}


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "fetch_weights", KUBERNETES / "weights/fetch_weights.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


class Hub(BaseHTTPRequestHandler):
    """One repository, read only."""

    contents = FILES | DANGEROUS

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        if self.path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name} for name in self.contents]
            body = json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}).encode()
        else:
            prefix = f"/{REPOSITORY}/resolve/{COMMIT}/"
            name = self.path.removeprefix(prefix)
            if not self.path.startswith(prefix) or name not in self.contents:
                self.send_error(404)
                return
            body = self.contents[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture(scope="module")
def program() -> Iterator[ModuleType]:
    """The program, with a hub of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
            patch.setattr(
                "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
                endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            )
            yield load()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def pins(program: ModuleType, tmp_path: Path) -> Path:
    path = tmp_path / "weights.json"
    path.write_text("{}")
    assert program.main(["--pin", REPOSITORY, str(path)]) == 0
    return path


def test_pinning_writes_the_commit_and_the_checksums_of_harmless_files(pins: Path) -> None:
    assert json.loads(pins.read_text()) == {
        REPOSITORY: {
            "revision": COMMIT,
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()},
        }
    }


def test_pinned_weights_are_fetched_as_they_are(
    program: ModuleType, pins: Path, tmp_path: Path
) -> None:
    assert program.main([str(pins), str(tmp_path / "models")]) == 0
    folder = tmp_path / "models/small-model"
    fetched = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert fetched == FILES | {"REVISION": COMMIT.encode()}


def test_weights_that_are_there_are_kept(program: ModuleType, pins: Path, tmp_path: Path) -> None:
    root = tmp_path / "models"
    assert program.main([str(pins), str(root)]) == 0
    marker = root / "small-model/config.json"
    marker.write_text("kept")
    assert program.main([str(pins), str(root)]) == 0
    assert marker.read_text() == "kept"


def test_other_bytes_than_the_pinned_ones_are_refused_and_leave_nothing(
    program: ModuleType, pins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(pins.read_text())
    document[REPOSITORY]["files"]["model.safetensors"] = "0" * 64
    pins.write_text(json.dumps(document))
    assert program.main([str(pins), str(tmp_path / "models")]) == 1
    assert "model.safetensors: SHA-256 is" in capsys.readouterr().err
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("pin", "complaint"),
    [
        ({"revision": "main", "files": {"a.json": "0" * 64}}, "must be a commit"),
        ({"revision": COMMIT, "files": {}}, "no files"),
        ({"revision": COMMIT, "files": {"a.bin": "0" * 64}}, "'a.bin' is not a kind of file"),
        ({"revision": COMMIT, "files": {"../a.json": "0" * 64}}, "is not a kind of file"),
        ({"revision": COMMIT, "files": {"a.json": "short"}}, "has no SHA-256"),
        ({"revision": COMMIT}, "`revision` and `files`"),
    ],
)
def test_a_pin_that_pins_nothing_is_refused(
    program: ModuleType, tmp_path: Path, pin: dict[str, object], complaint: str
) -> None:
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({REPOSITORY: pin}))
    with pytest.raises(ValueError, match=complaint):
        program.read_pins(path)


def test_the_list_that_clusters_are_given_can_be_read(program: ModuleType) -> None:
    program.read_pins(KUBERNETES / "weights/weights.json")


def test_the_commands_of_the_page_write_the_pinned_commit_where_it_is_asked_for(
    tmp_path: Path,
) -> None:
    (block,) = re.findall(r"```bash skip: needs a pinned model\n(.+?)\n```", PAGE, re.DOTALL)
    for name in ("cluster", "training/configs"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    commit = "12345678" * 5  # unquoted, YAML would read a number
    pins = {"yanolja/EEVE-Korean-Instruct-10.8B-v1.0": {"revision": commit}}
    (tmp_path / "cluster/kubernetes/weights/weights.json").write_text(json.dumps(pins))
    (tmp_path / "cluster/kubernetes/render.sh").write_text("#!/bin/bash\n")
    subprocess.run(["bash", "-e", "-c", block], cwd=tmp_path, check=True)
    for path in CONFIGS:
        (app,) = yaml.safe_load((tmp_path / path).read_text())["applications"]
        assert app["args"]["persona"]["base_revision"] == commit
    training = yaml.safe_load(
        (tmp_path / "training/configs/finetune_persona_eeve.yaml").read_text()
    )
    assert training["base_revision"] == commit


def test_the_checkpoint_of_zonos_on_the_page_is_one_that_is_served() -> None:
    (document,) = re.findall(r"<<'JSON'\n(.+?)\nJSON\n", PAGE, re.DOTALL)
    checkpoint = zonos_checkpoint_from_json(document.encode())
    for path in CONFIGS[:2]:
        (app,) = yaml.safe_load((CHECKOUT / path).read_text())["applications"]
        named = app["args"]["voice_encoder"]["zonos_checkpoint"]
        assert named == f"{checkpoint.checkpoint_id}@{checkpoint.version}"
