import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.cluster.manifests import CHECKOUT, CLUSTER, RENDERED, resources

IMAGES = CLUSTER / "images"
WEIGHTS = {".safetensors", ".onnx", ".gguf", ".pt", ".pth", ".ckpt", ".bin", ".npz"}
DOCKERFILES = sorted(IMAGES.glob("*.Dockerfile"))
each_image = pytest.mark.parametrize("path", DOCKERFILES, ids=[path.stem for path in DOCKERFILES])


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", path.read_text(), re.M))


@each_image
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    assert subprocess.run([hadolint, path], capture_output=True, text=True).stdout == ""


@each_image
def test_the_image_runs_as_a_user_is_probed_and_stops_cleanly(path: Path) -> None:
    last_stage = path.read_text().rpartition("\nFROM ")[2]
    assert "USER 1000:1000" in last_stage
    assert "HEALTHCHECK" in last_stage and "/ready" in last_stage
    assert 'ENTRYPOINT ["tini", "--"]' in last_stage  # Ray's orphans have somebody to end them


@each_image
def test_what_is_copied_exists_and_reaches_the_builder(path: Path) -> None:
    ignore = path.with_name(f"{path.name}.dockerignore").read_text().splitlines()
    sent = [line[1:] for line in ignore if line.startswith("!")]
    assert "*" in ignore
    for line in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.M):
        for source in line.split()[:-1]:
            assert (CHECKOUT / source).exists(), source
            assert any(source == each or source.startswith(f"{each}/") for each in sent), source


def weights_brought_by(dockerfile: str) -> list[str]:
    """Steps that put weights into the image, or could; what the project ships may be copied."""
    steps = re.sub(r"\\\n( *#.*\n)*", " ", dockerfile)
    found = re.findall(r"^ADD .+$", steps, re.M)
    for command in re.findall(r"^RUN (.+)$", steps, re.M):
        programs = [words.split()[0] for words in re.split(r"[;&|]+", command)]
        is_known = {"pip", "apt-get", "rm", "useradd", "install", "echo"} >= set(programs)
        if not is_known and command != "python -m venv /opt/venv":
            found.append(command)
    for line in re.findall(r"^COPY (?!--from)(.+)$", steps, re.M):
        for source in line.split()[:-1]:
            files = [CHECKOUT / source, *(CHECKOUT / source).rglob("*")]
            found += [
                str(file)
                for file in files
                if file.suffix in WEIGHTS and CHECKOUT / "models/embedded" not in file.parents
            ]
    return found


@each_image
def test_no_weights_are_in_the_image(path: Path) -> None:
    assert weights_brought_by(path.read_text()) == []


@pytest.mark.parametrize(
    "step",
    [
        "RUN python -m models.fetch",
        "RUN pip install torch && hf download yanolja/EEVE-Korean-Instruct-10.8B-v1.0",
        "RUN pip install torch; hf download yanolja/EEVE-Korean-Instruct-10.8B-v1.0",
        "RUN apt-get update \\\n && wget https://example.com/model.safetensors",
        "ADD https://example.com/model.safetensors /models/",
        "COPY tests/parity /app/tests",
    ],
)
def test_a_step_that_would_bring_weights_is_found(step: str) -> None:
    assert weights_brought_by(f"FROM python\n{step}\n") != []


def test_the_image_has_what_the_configurations_that_run_in_it_need() -> None:
    """Zonos reads text with espeak-ng, and the extra `zonos`."""
    configs = [*(CLUSTER / "kubernetes").glob("gpu*/serve_config.yaml")]
    assert configs and all("\n      zonos:\n" in path.read_text() for path in configs)
    build, last_stage = (IMAGES / "cuda.Dockerfile").read_text().split("\nFROM ")[1:]
    (extras,) = re.findall(r"--editable '\.\[(.+)\]'", build)
    assert set(extras.split(",")) == {"gpu", "train", "zonos"}
    assert " libespeak-ng1=" in last_stage
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    pinned = {canonicalize_name(name) for name in pins(IMAGES / "cuda-constraints.txt")}
    for extra in extras.split(","):
        for line in project["optional-dependencies"][extra]:
            assert canonicalize_name(Requirement(line).name) in pinned, line


@each_image
def test_bases_are_pinned_to_a_patch_release(path: Path) -> None:
    assert re.search(r"^ARG PYTHON=3\.11\.\d+-slim-bookworm$", path.read_text(), re.M)
    assert re.findall(r"^FROM (\S+)", path.read_text(), re.M) == ["python:${PYTHON}"] * 2


def test_both_images_run_the_same_ray_and_torch() -> None:
    cpu, cuda = pins(CHECKOUT / "constraints.txt"), pins(IMAGES / "cuda-constraints.txt")
    for name in ("ray", "torch", "transformers", "safetensors", "pydantic"):
        assert cuda[name] == cpu[name], name


def test_the_container_listens_on_every_address(tmp_path: Path) -> None:
    """The start script, with a `python` that shows what it was asked to do."""
    python = tmp_path / "python"
    python.write_text('#!/bin/bash\necho "$@"\n[ "$2" = serve_app ] && cat "$3" || true\n')
    python.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BAEWOO_MODELS": str(tmp_path)}
    started = subprocess.run(
        [IMAGES / "start.sh", CHECKOUT / "serve_config.yaml"],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    fetched, served, *config = started.stdout.splitlines()
    assert fetched == "-m models.fetch"
    assert served.startswith("-m serve_app ")
    assert "  host: 0.0.0.0" in config and "  host: 127.0.0.1" not in config


def test_the_user_of_the_image_is_the_one_that_pods_run_as() -> None:
    for path in DOCKERFILES:
        assert "useradd --uid 1000" in path.read_text()
    for name, service in resources("RayService"):
        head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
        assert head["securityContext"]["runAsUser"] == 1000, name


def test_tools_that_probes_use_are_installed() -> None:
    probes = {
        word
        for path in RENDERED.glob("*.yaml")
        for word in re.findall(r"\b(wget|curl|python)\b.{0,40}healthz", path.read_text())
    }
    assert probes == {"wget"}
    for path in DOCKERFILES:
        assert " wget=" in path.read_text()


@pytest.mark.slow
def test_the_install_steps_of_the_image_work_in_a_clean_environment(tmp_path: Path) -> None:
    """What the Dockerfile does, step by step, without Docker."""
    steps = (IMAGES / "cpu.Dockerfile").read_text().partition("\nFROM ")[2].partition("\nFROM ")[0]
    app = tmp_path / "app"
    app.mkdir()
    for line in re.findall(r"^COPY (.+)$", steps, re.M):
        *sources, target = line.split()
        for source in sources:
            destination = app if target == "./" else app / target
            subprocess.run(["cp", "-r", CHECKOUT / source, destination], check=True)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    (install,) = re.findall(r"^RUN (pip install .+)$", steps, re.M)
    # The address of torch's own index is for machines whose pip would bring the CUDA build.
    install = install.replace('--extra-index-url "${TORCH_INDEX}"', "")
    environment = os.environ | {"PATH": f"{tmp_path}/venv/bin:{os.environ['PATH']}"}
    subprocess.run(install, shell=True, cwd=app, env=environment, check=True)
    script = "import serve_app.app, training.train_s1; print(serve_app.app.__file__)"
    run = subprocess.run(
        [tmp_path / "venv/bin/python", "-c", script],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert run.stdout.strip() == str(app / "serve_app/app.py")
