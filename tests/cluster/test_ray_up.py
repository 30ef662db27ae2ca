import json
from pathlib import Path
from typing import Any

import jsonschema
import ray
import yaml

from tests.cluster.manifests import CLUSTER, RENDERED, resources
from tests.cluster.test_serve_configs import deployments

CONFIG: dict[str, Any] = yaml.safe_load((CLUSTER / "ray-up.yaml").read_text())


def test_ray_accepts_the_file() -> None:
    schema = Path(ray.__file__).parent / "autoscaler/ray-schema.json"
    jsonschema.validate(CONFIG, json.loads(schema.read_text()))
    assert CONFIG["head_node_type"] in CONFIG["available_node_types"]


def test_its_machines_offer_what_the_gpu_cluster_on_kubernetes_does() -> None:
    ((_, service),) = resources("RayService", RENDERED / "gpu.yaml")
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    types = {k: v for k, v in CONFIG["available_node_types"].items() if k != "head"}
    assert {group["groupName"] for group in groups} == set(types)
    for group in groups:
        machine = types[group["groupName"]]
        assert (machine["min_workers"], machine["max_workers"]) == (
            group["minReplicas"],
            group["maxReplicas"],
        )
        custom = {name: float(amount) for name, amount in group["resources"].items()}
        offered = {n: a for n, a in machine["resources"].items() if n not in ("CPU", "GPU")}
        assert offered == custom


def test_some_machine_can_hold_each_replica_of_the_gpu_configuration() -> None:
    offers = [each["resources"] for each in CONFIG["available_node_types"].values()]
    for deployment in deployments("gpu").values():
        options = deployment["ray_actor_options"]
        wanted = {"CPU": options["num_cpus"], "GPU": options.get("num_gpus", 0)}
        wanted |= options["resources"]
        assert any(all(o.get(k, 0) >= v for k, v in wanted.items()) for o in offers)


def test_the_head_carries_no_replicas_and_shows_its_dashboard_to_nobody() -> None:
    (start,) = [each for each in CONFIG["head_start_ray_commands"] if "--head" in each]
    assert CONFIG["available_node_types"]["head"]["resources"] == {"CPU": 0}
    assert "--num-cpus=0" in start and "--dashboard-host=127.0.0.1" in start


def test_every_node_asks_for_the_token_and_has_it() -> None:
    assert "--env RAY_AUTH_MODE=token" in CONFIG["docker"]["run_options"]
    assert any(target.endswith("/.ray/auth_token") for target in CONFIG["file_mounts"])


def test_the_cluster_may_grow_to_the_sum_of_its_groups() -> None:
    types = CONFIG["available_node_types"].values()
    assert CONFIG["max_workers"] >= sum(each.get("max_workers", 0) for each in types)


def test_the_image_has_what_ray_copies_files_and_reaches_workers_with() -> None:
    assert CONFIG["docker"]["image"].endswith("-cuda")
    last_stage = (CLUSTER / "images/cuda.Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert " rsync=" in last_stage and " openssh-client=" in last_stage
