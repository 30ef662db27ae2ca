import re
import subprocess
from typing import Any

import yaml

from serve_app.settings import Settings
from tests.cluster.manifests import CHECKOUT, CLUSTER

SERVICE = yaml.safe_load((CLUSTER / "cloud-run/service.yaml").read_text())
CONFIG = yaml.safe_load((CLUSTER / "cloud-run/serve_config.yaml").read_text())


def revision() -> dict[str, Any]:
    return dict(SERVICE["spec"]["template"]["spec"])


def container() -> dict[str, Any]:
    (only,) = revision()["containers"]
    return dict(only)


def test_the_container_listens_where_cloud_run_asks() -> None:
    (port,) = container()["ports"]
    assert port["containerPort"] == CONFIG["http_options"]["port"]
    image = (CLUSTER / "images/cuda.Dockerfile").read_text()
    assert f"PORT={port['containerPort']}" in image
    assert container()["startupProbe"]["httpGet"]["port"] == port["containerPort"]


def test_traffic_comes_once_a_request_would_succeed() -> None:
    assert container()["startupProbe"]["httpGet"]["path"] == "/ready"
    assert container()["livenessProbe"]["httpGet"]["path"] == "/health"


def test_cloud_run_starts_another_instance_before_requests_are_refused() -> None:
    admission = CONFIG["applications"][0]["args"]["admission"]
    assert revision()["containerConcurrency"] < admission["max_requests"]


def test_a_request_may_last_as_long_as_a_stream() -> None:
    assert revision()["timeoutSeconds"] == CONFIG["http_options"]["request_timeout_s"]


def test_there_is_one_gpu_and_a_bound_on_what_it_costs() -> None:
    annotations = SERVICE["spec"]["template"]["metadata"]["annotations"]
    assert container()["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert int(annotations["autoscaling.knative.dev/maxScale"]) > 0
    assert annotations["run.googleapis.com/cpu-throttling"] == "false"


def test_the_shares_of_the_gpu_and_the_cpus_add_up() -> None:
    options = [each["ray_actor_options"] for each in CONFIG["applications"][0]["deployments"]]
    assert sum(each.get("num_gpus", 0) for each in options) <= 1
    assert sum(each["num_cpus"] for each in options) <= int(
        container()["resources"]["limits"]["cpu"]
    )


def test_secrets_come_from_the_secret_manager() -> None:
    for variable in container()["env"]:
        is_secret = re.search("KEY|SECRET", variable["name"])
        assert ("valueFrom" in variable) == bool(is_secret), variable["name"]


def test_every_variable_is_one_that_the_service_reads() -> None:
    known = {name.upper() for name in Settings.model_fields}
    assert {variable["name"] for variable in container()["env"]} <= known


def test_the_image_is_the_one_that_is_built_here() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (CHECKOUT / "pyproject.toml").read_text(), re.M)
    assert container()["image"].endswith(f"/baewoo:{version}-cuda")


def test_what_the_service_names_is_made_on_the_page() -> None:
    page = (CHECKOUT / "docs/deploy/cloud-run.md").read_text()
    given = [each["valueFrom"] for each in container()["env"] if "valueFrom" in each]
    for secret in (each["secretKeyRef"]["name"] for each in given):
        assert f"gcloud secrets create {secret} " in page
    (volume,) = revision()["volumes"]
    storage = next(each["value"] for each in container()["env"] if each["name"] == "BAEWOO_STORAGE")
    for bucket in (volume["csi"]["volumeAttributes"]["bucketName"], storage.split("/")[2]):
        shown = bucket.replace("PROJECT", "$PROJECT")
        assert re.search(rf"buckets create .*gs://{re.escape(shown)}[ \n]", page)
        assert f"buckets add-iam-policy-binding gs://{shown} " in page
    assert "--member=allUsers --role=roles/run.invoker" in page


def test_nothing_is_left_to_fill_in_once_the_page_s_command_has_run() -> None:
    page = (CHECKOUT / "docs/deploy/cloud-run.md").read_text()
    (command,) = re.findall(
        r"^(sed .+) cluster/cloud-run/service\.yaml > service\.yaml$", page, re.M
    )
    filled = subprocess.run(
        ["bash", "-c", f"PROJECT=acme REGION=asia-southeast1; {command}"],
        input=yaml.safe_dump(SERVICE), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert not re.search("PROJECT|REGION(?!_)", filled)
    assert "baewoo@acme.iam.gserviceaccount.com" in filled
