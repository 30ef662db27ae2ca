"""What the clusters are told to serve is what the application is made of."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from ray.serve._private.build_app import build_app
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from deployments.autoscaling.policy import StagePolicy
from serve_app.app import AppArgs, build
from tests.cluster.manifests import (
    CHECKOUT,
    CLUSTER,
    KUBERNETES,
    RENDERED,
    ray_cluster_spec,
    resources,
)

CONFIGS = {
    "laptop": CHECKOUT / "serve_config.yaml",
    **{
        name: CLUSTER / "kubernetes" / name / "serve_config.yaml"
        for name in ("base", "dev", "gpu", "gpu-24gb")
    },
    "cloud-run": CLUSTER / "cloud-run/serve_config.yaml",
}
GPU_CONFIGS = ["gpu", "gpu-24gb", "cloud-run"]
ZONOS = ("ZonosBackbone", "ZonosDecoder")


def document(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(CONFIGS[name].read_text()))


def application(name: str) -> dict[str, Any]:
    (app,) = document(name)["applications"]
    return dict(app)


def deployments(name: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in application(name).get("deployments", [])}


def pinned(args: dict[str, Any]) -> dict[str, Any]:
    """Arguments as they are once somebody has written the persona's commit into them."""
    if "base_revision" not in (persona := args.get("persona", {})):
        return args
    return args | {"persona": persona | {"base_revision": "0123456789" * 4}}


def built(name: str) -> set[str]:
    """The names of the deployments that the real builder makes of a configuration's arguments."""
    graph = build(AppArgs.model_validate(pinned(application(name).get("args", {}))))
    app = build_app(graph, name="baewoo", external_scaler_enabled=False)
    return {deployment.name for deployment in app.deployments}


@pytest.fixture(autouse=True)
def _storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAEWOO_STORAGE", str(tmp_path))


@pytest.mark.parametrize("name", CONFIGS)
def test_serve_accepts_the_configuration(name: str) -> None:
    ServeDeploySchema.model_validate(document(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_deployment_that_is_configured_is_one_that_the_builder_makes(name: str) -> None:
    assert set(deployments(name)) <= built(name)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "dev"])
def test_every_deployment_that_the_builder_makes_has_its_place(name: str) -> None:
    assert built(name) == set(deployments(name))


def test_an_argument_that_does_not_exist_is_found() -> None:
    args = pinned(application("gpu")["args"])
    with pytest.raises(ValidationError, match="max_slots"):
        AppArgs.model_validate(args | {"vocoder": {"max_slots": 1}})


@pytest.mark.parametrize("name", GPU_CONFIGS)
def test_nothing_starts_until_the_persona_is_of_the_commit_that_is_fetched(name: str) -> None:
    args = application(name)["args"]
    pins = json.loads((KUBERNETES / "weights/weights.json").read_text())
    if (pin := pins.get(args["persona"]["base_model"])) is not None:
        assert args["persona"]["base_revision"] == pin["revision"]
    else:
        with pytest.raises(ValidationError, match=r"1 validation error.*\npersona\.base_revision"):
            AppArgs.model_validate(args)


@pytest.mark.parametrize("name", ["gpu", "gpu-24gb"])
def test_clusters_with_gpus_speak_with_zonos_too(name: str) -> None:
    assert set(ZONOS) <= built(name)


@pytest.mark.parametrize("name", CONFIGS)
def test_all_serve_the_same_application(name: str) -> None:
    same = ("name", "route_prefix", "import_path")
    assert {key: application(name)[key] for key in same} == {
        key: application("laptop")[key] for key in same
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_nobody_is_let_in_without_a_key_where_others_can_reach_the_service(name: str) -> None:
    access = application(name).get("args", {}).get("access", {})
    assert access.get("allow_anonymous", False) is False


@pytest.mark.parametrize("name", ["base", "dev", "gpu", "gpu-24gb"])
def test_the_rayservice_carries_the_configuration_that_lies_beside_it(name: str) -> None:
    ((_, service),) = resources("RayService", RENDERED / f"{name}.yaml")
    assert service["spec"]["serveConfigV2"] == CONFIGS[name].read_text()


def test_both_gpu_clusters_differ_in_the_persona_alone() -> None:
    large, small = application("gpu"), application("gpu-24gb")
    assert large["args"].pop("persona") != small["args"].pop("persona")
    assert large == small


@pytest.mark.parametrize("name", ["base", "dev", "gpu", "gpu-24gb"])
def test_some_worker_group_can_hold_each_replica(name: str) -> None:
    ((_, service),) = resources("RayService", RENDERED / f"{name}.yaml")
    spec = ray_cluster_spec(service)
    assert spec is not None
    offers = [_offer(group) for group in spec["workerGroupSpecs"]]
    for deployment in deployments(name).values():
        wanted = _wanted(deployment)
        assert any(
            all(offer.get(key, 0) >= amount for key, amount in wanted.items()) for offer in offers
        ), (deployment["name"], wanted)


@pytest.mark.parametrize("name", ["base", "gpu", "gpu-24gb"])
def test_worker_groups_may_grow_to_hold_every_replica_and_one_more(name: str) -> None:
    ((_, service),) = resources("RayService", RENDERED / f"{name}.yaml")
    spec = ray_cluster_spec(service)
    assert spec is not None
    for group in spec["workerGroupSpecs"]:
        offer = _offer(group)
        for resource in ("CPU", "GPU"):
            own = [
                (_wanted(each).get(resource, 0), _max_replicas(each))
                for each in deployments(name).values()
                if set(group["resources"]) & set(each["ray_actor_options"]["resources"])
            ]
            needed = sum(amount * count for amount, count in own)
            largest = max((amount for amount, _ in own), default=0)
            available = offer.get(resource, 0) * group["maxReplicas"]
            assert available >= needed + largest, (group["groupName"], resource, available, needed)


@pytest.mark.parametrize("name", ["base", "gpu", "gpu-24gb"])
def test_stages_scale_by_the_policy_that_reads_their_reports(name: str) -> None:
    zonos = set(ZONOS) & set(deployments(name))
    for stage in ("PersonaLLM", "SemanticDecoder", "Vocoder", *zonos):
        policy = AutoscalingConfig(**deployments(name)[stage]["autoscaling_config"]).policy
        assert policy.get_policy() is StagePolicy, stage
        StagePolicy(**policy.policy_kwargs)


@pytest.mark.parametrize("name", GPU_CONFIGS)
def test_stages_on_gpus_are_given_one(name: str) -> None:
    args = application(name)["args"]
    on_gpu = {
        "SemanticDecoder": args["semantic_decoder"]["device"] == "cuda",
        "Vocoder": args["vocoder"]["device"] == "cuda",
        "PersonaLLM": True,
    }
    if "zonos" in args:
        on_gpu["ZonosBackbone"] = args["zonos"]["backbone"]["device"] == "cuda"
        on_gpu["ZonosDecoder"] = args["zonos"]["decoder"]["device"] == "cuda"
    for deployment, uses_gpu in on_gpu.items():
        options = deployments(name)[deployment]["ray_actor_options"]
        assert (options.get("num_gpus", 0) > 0) == uses_gpu, deployment


@pytest.mark.parametrize("name", ["base", "gpu", "gpu-24gb"])
def test_no_replica_stops_before_its_successor_has_started(name: str) -> None:
    for deployment in deployments(name).values():
        assert deployment["max_surge_percent"] > 0, deployment["name"]


def _wanted(deployment: dict[str, Any]) -> dict[str, float]:
    options = deployment.get("ray_actor_options", {})
    return {
        "CPU": options.get("num_cpus", 1),
        "GPU": options.get("num_gpus", 0),
        **options.get("resources", {}),
    }


def _max_replicas(deployment: dict[str, Any]) -> int:
    scaling = deployment.get("autoscaling_config")
    return int(scaling["max_replicas"] if scaling else deployment["num_replicas"])


def _offer(group: dict[str, Any]) -> dict[str, float]:
    (container,) = group["template"]["spec"]["containers"]
    requests = container["resources"]["requests"]
    return {
        "CPU": float(requests["cpu"]),
        "GPU": float(requests.get("nvidia.com/gpu", 0)),
        **{name: float(amount) for name, amount in group["resources"].items()},
    }
