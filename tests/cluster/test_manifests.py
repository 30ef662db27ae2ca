import copy
import os
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cluster.manifests import (
    CHECKOUT,
    CLUSTER,
    KUBERNETES,
    OVERLAYS,
    RENDERED,
    Resource,
    crd_schema,
    groups,
    pod_schema,
    pod_templates,
    ray_cluster_spec,
    resources,
)

RAY_RESOURCES = [
    each for each in resources() if each[1]["kind"] in ("RayService", "RayCluster", "RayJob")
]
RAY_CLUSTERS = [each for each in RAY_RESOURCES if ray_cluster_spec(each[1]) is not None]
POD_OWNERS = [each for each in resources() if any(pod_templates(each[1]))]


def named(cases: list[tuple[str, Resource]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "resource", [each for _, each in cases], ids=[n for n, _ in cases]
    )


def ray_version() -> str:
    (version,) = re.findall(r"^ray==(.+)$", (CHECKOUT / "constraints.txt").read_text(), re.M)
    return str(version)


def validators() -> dict[str, jsonschema.Draft202012Validator]:
    return {
        kind: jsonschema.Draft202012Validator(crd_schema(kind))
        for kind in ("RayService", "RayCluster", "RayJob")
    }


VALIDATORS = validators()
POD_VALIDATOR = jsonschema.Draft202012Validator(pod_schema())


@named(RAY_RESOURCES)
def test_ray_resources_have_the_fields_that_kuberay_knows(resource: Resource) -> None:
    assert [error.message for error in VALIDATORS[resource["kind"]].iter_errors(resource)] == []


@named(POD_OWNERS)
def test_pods_have_the_fields_that_kubernetes_knows(resource: Resource) -> None:
    for template in pod_templates(resource):
        assert [error.message for error in POD_VALIDATOR.iter_errors(template)] == []


def test_a_misspelt_field_is_found() -> None:
    (_, service), *_ = resources("RayService")
    wrong = copy.deepcopy(service)
    wrong["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["nodeSelectors"] = {}
    (error,) = VALIDATORS["RayService"].iter_errors(wrong)
    assert "nodeSelectors" in error.message


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="rendering needs kubectl")
@pytest.mark.parametrize("name", OVERLAYS)
def test_rendered_files_are_what_kustomize_makes_of_their_folders(name: str) -> None:
    command = ["kubectl", "kustomize", str(KUBERNETES / OVERLAYS[name])]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert made == (RENDERED / name).read_text(), "make it anew with cluster/kubernetes/render.sh"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="rendering needs kubectl")
@pytest.mark.parametrize("overlay", ["base", "dev", "gpu", "gpu-24gb"])
def test_incremental_upgrades_fit_every_overlay(overlay: str, tmp_path: Path) -> None:
    near = os.path.relpath(KUBERNETES, tmp_path.resolve())
    kustomization = {
        "resources": [f"{near}/{overlay}"],
        "components": [f"{near}/incremental-upgrade"],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    made = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout
    (service,) = (each for each in yaml.safe_load_all(made) if each["kind"] == "RayService")
    assert list(VALIDATORS["RayService"].iter_errors(service)) == []
    # What KubeRay's operator asks for beyond its schema.
    assert service["spec"]["upgradeStrategy"]["type"] == "NewClusterWithIncrementalUpgrade"
    options = service["spec"]["upgradeStrategy"]["clusterUpgradeOptions"]
    assert service["spec"]["rayClusterConfig"]["enableInTreeAutoscaling"] is True
    assert options["gatewayClassName"] and options["intervalSeconds"] > 0
    assert 0 <= options["stepSizePercent"] <= 100 and 0 <= options["maxSurgePercent"] <= 100


@named(RAY_CLUSTERS)
def test_clusters_run_the_version_of_ray_that_is_installed(resource: Resource) -> None:
    spec = ray_cluster_spec(resource)
    assert spec is not None and spec["rayVersion"] == ray_version()


@named(RAY_CLUSTERS)
def test_ray_asks_for_a_token_and_its_dashboard_stays_inside(resource: Resource) -> None:
    spec = ray_cluster_spec(resource)
    assert spec is not None
    assert spec["authOptions"] == {"mode": "token", "secretName": "baewoo-ray-token"}
    head = spec["headGroupSpec"]
    assert (head["serviceType"], head["enableIngress"]) == ("ClusterIP", False)


def test_only_pods_of_the_service_and_the_operator_reach_what_ray_itself_listens_on() -> None:
    for name, policy in resources("NetworkPolicy"):
        if policy["metadata"]["name"] != "baewoo-ray":
            continue
        inside, operator, everybody, monitoring = policy["spec"]["ingress"]
        own = policy["spec"]["podSelector"]
        assert inside == {"from": [{"podSelector": own}]}, name
        (source,) = operator["from"]
        # In every other namespace anybody may give a pod the operator's label.
        namespace = source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        assert f"--namespace {namespace} " in (CHECKOUT / "docs/deploy/kubernetes.md").read_text()
        assert source["podSelector"]["matchLabels"] == {
            "app.kubernetes.io/component": "kuberay-operator"
        }
        assert everybody == {"ports": [{"port": 8000}]}
        assert monitoring["ports"] == [{"port": 8080}]


@named(RAY_CLUSTERS)
def test_pods_carry_the_label_that_the_network_policy_lets_through(resource: Resource) -> None:
    for template in pod_templates(resource):
        assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "baewoo"


def test_nothing_is_exposed_beyond_the_cluster() -> None:
    kinds = {resource["kind"] for _, resource in resources()}
    assert not kinds & {"Ingress", "HTTPRoute", "Gateway"}
    for name, service in resources("Service"):
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP", name
    for name, service in resources("RayService"):
        assert service["spec"]["serveService"]["spec"]["type"] == "ClusterIP", name


@named(POD_OWNERS)
def test_pods_run_without_privileges(resource: Resource) -> None:
    for template in pod_templates(resource):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"] + pod.get("initContainers", []):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}


@named(POD_OWNERS)
def test_containers_say_what_they_need_and_which_image_they_run(resource: Resource) -> None:
    for template in pod_templates(resource):
        for container in template["spec"]["containers"] + template["spec"].get(
            "initContainers", []
        ):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            name, _, tag = container["image"].rpartition(":")
            assert name and tag and tag != "latest", container["image"]


def test_images_are_tagged_with_the_version_of_the_project() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (CHECKOUT / "pyproject.toml").read_text(), re.M)
    texts = [path.read_text() for path in (*RENDERED.glob("*.yaml"), CLUSTER / "ray-up.yaml")]
    tags = {tag for text in texts for tag in re.findall(r"organisation/baewoo:(\S+)", text)}
    assert tags == {f"{version}-cpu", f"{version}-cuda"}


@named(RAY_CLUSTERS)
def test_workers_are_probed_and_the_head_carries_no_replicas(resource: Resource) -> None:
    spec = ray_cluster_spec(resource)
    assert spec is not None
    if resource["kind"] == "RayJob":
        return  # it serves nobody, and KubeRay's own probes do
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in groups(spec):
        (container,) = group["template"]["spec"]["containers"]
        assert {"readinessProbe", "livenessProbe"} <= set(container)
    for group in spec["workerGroupSpecs"]:
        (container,) = group["template"]["spec"]["containers"]
        assert (
            "http://127.0.0.1:8000/-/healthz" in container["readinessProbe"]["exec"]["command"][2]
        )


def test_the_head_can_be_lost_with_everything_it_knew_in_redis() -> None:
    for name, service in resources("RayService"):
        spec = service["spec"]["rayClusterConfig"]
        storage = spec["gcsFaultToleranceOptions"]
        assert storage["backend"] == "redis"
        host, port = storage["redisAddress"].split(":")
        (redis,) = [
            each
            for _, each in resources("Service", RENDERED / name.split(":")[0])
            if each["metadata"]["name"] == host
        ]
        assert redis["spec"]["ports"][0]["port"] == int(port)
        assert service["spec"]["excludeHeadPodFromServeSvc"] is True


def test_streams_outlive_an_upgrade() -> None:
    for name, service in resources("RayService"):
        config = yaml.safe_load(service["spec"]["serveConfigV2"])
        longest_s = config["http_options"].get("request_timeout_s", 0)
        assert service["spec"]["rayClusterDeletionDelaySeconds"] > longest_s, name


def test_secrets_are_named_and_never_written_down() -> None:
    assert resources("Secret") == []
    known = {"baewoo-settings", "baewoo-redis", "baewoo-ray-token", "baewoo-hub"}
    for name, resource in resources():
        references = re.findall(r"'(?:secretKeyRef|secretRef)': (\{[^}]*\})", str(resource))
        assert {yaml.safe_load(each)["name"] for each in references} <= known, name


def test_budgets_for_disruptions_match_pods_that_exist() -> None:
    for name, budget in resources("PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"]
        (cluster,) = [
            spec
            for _, each in resources(path=RENDERED / name.split(":")[0])
            if (spec := ray_cluster_spec(each)) is not None
        ]
        (group,) = [
            each
            for each in cluster["workerGroupSpecs"]
            if each["groupName"] == wanted["ray.io/group"]
        ]
        # One may go only where another one is left.
        assert group["minReplicas"] > budget["spec"]["minAvailable"], name
        assert "maxUnavailable" not in budget["spec"], name
