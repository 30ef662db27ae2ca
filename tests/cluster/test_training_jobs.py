import re
import shlex
from typing import Any

import pytest

from tests.cluster.manifests import CHECKOUT, RENDERED, resources

RUNNING = dict(resources(path=RENDERED / "jobs-running.yaml"))
FRESH = dict(resources(path=RENDERED / "jobs-fresh.yaml"))
ENTRYPOINTS = {job["metadata"]["name"]: job["spec"]["entrypoint"] for job in RUNNING.values()}


def test_every_job_can_run_on_the_running_cluster_and_on_a_fresh_one() -> None:
    fresh = {job["metadata"]["name"]: job["spec"]["entrypoint"] for job in FRESH.values()}
    assert fresh == ENTRYPOINTS


def test_every_training_job_has_a_manifest() -> None:
    """Those that need a GPU or a cluster; the others are minutes of a laptop."""
    on_a_laptop = {"generate_corpus"}
    modules = {path.stem for path in (CHECKOUT / "training").glob("*.py")} - {"__init__"}
    started = {shlex.split(each)[2].removeprefix("training.") for each in ENTRYPOINTS.values()}
    assert started == modules - on_a_laptop


@pytest.mark.parametrize("name", ENTRYPOINTS)
def test_the_entrypoint_is_a_program_with_those_options(name: str) -> None:
    python, dash_m, module, *words = shlex.split(ENTRYPOINTS[name])
    assert (python, dash_m) == ("python", "-m")
    sources = [CHECKOUT / f"{module.replace('.', '/')}.py", CHECKOUT / "training/loops/launch.py"]
    known = {option for path in sources for option in re.findall(r'"(--[\w-]+)"', path.read_text())}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("name", ENTRYPOINTS)
def test_the_configuration_is_in_the_image_or_on_the_training_volume(name: str) -> None:
    words = shlex.split(ENTRYPOINTS[name])
    config = words[words.index("--config") + 1]
    if not config.startswith("/training/"):
        assert (CHECKOUT / config.removeprefix("/app/")).is_file(), config
    for word in words:
        assert not word.startswith("/app/") or (CHECKOUT / word.removeprefix("/app/")).exists(), (
            word
        )


def test_jobs_on_the_running_cluster_wait_for_a_node_of_its_training_group() -> None:
    ((_, service),) = resources("RayService", RENDERED / "gpu.yaml")
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (training,) = [group for group in groups if "training" in group["resources"]]
    for job in RUNNING.values():
        assert '"training"' in job["spec"]["entrypointResources"]
        assert _mounts(training["template"])["/training"] == "training"


def test_fresh_clusters_see_the_same_files_and_go_away() -> None:
    for job in FRESH.values():
        assert job["spec"]["shutdownAfterJobFinishes"] is True
        cluster = job["spec"]["rayClusterSpec"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            assert {"/models", "/training"} <= set(_mounts(group["template"]))


def test_a_job_on_a_running_cluster_does_not_take_the_cluster_with_it() -> None:
    for job in RUNNING.values():
        assert not {"shutdownAfterJobFinishes", "ttlSecondsAfterFinished"} & set(job["spec"])
        assert "rayClusterSpec" not in job["spec"]


def _mounts(template: dict[str, Any]) -> dict[str, str]:
    (container,) = template["spec"]["containers"]
    return {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
