"""The manifests as they are applied, and ways to look into them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
CLUSTER = CHECKOUT / "cluster"
KUBERNETES = CLUSTER / "kubernetes"
RENDERED = KUBERNETES / "rendered"
SCHEMAS = Path(__file__).resolve().parent / "schemas"

OVERLAYS = {
    "base.yaml": "base",
    "dev.yaml": "dev",
    "gpu.yaml": "gpu",
    "gpu-24gb.yaml": "gpu-24gb",
    "ray-cluster.yaml": "ray-cluster",
    "jobs-running.yaml": "jobs/running",
    "jobs-fresh.yaml": "jobs/fresh",
}
"""The kustomize folder that each rendered file is made of."""

Resource = dict[str, Any]


@cache
def _documents(path: Path) -> list[Resource]:
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def resources(kind: str | None = None, path: Path | None = None) -> list[tuple[str, Resource]]:
    """All resources of the rendered files, or of one; each with a name for messages."""
    paths = [path] if path else sorted(RENDERED.glob("*.yaml"))
    return [
        (f"{path.name}:{resource['kind']}/{resource['metadata']['name']}", resource)
        for path in paths
        for resource in _documents(path)
        if kind is None or resource["kind"] == kind
    ]


def ray_cluster_spec(resource: Resource) -> Resource | None:
    """What a resource says of a Ray cluster, if it makes one."""
    match resource["kind"]:
        case "RayService":
            return dict(resource["spec"]["rayClusterConfig"])
        case "RayCluster":
            return dict(resource["spec"])
        case "RayJob" if "rayClusterSpec" in resource["spec"]:
            return dict(resource["spec"]["rayClusterSpec"])
    return None


def groups(spec: Resource) -> list[Resource]:
    """The head group and the worker groups of a Ray cluster."""
    return [spec["headGroupSpec"], *spec.get("workerGroupSpecs", [])]


def pod_templates(resource: Resource) -> Iterator[Resource]:
    """The templates of all pods that a resource starts."""
    spec = resource.get("spec", {})
    if (cluster := ray_cluster_spec(resource)) is not None:
        yield from (group["template"] for group in groups(cluster))
    if "submitterPodTemplate" in spec:
        yield spec["submitterPodTemplate"]
    if resource["kind"] in ("StatefulSet", "Job"):
        yield spec["template"]


def strict(schema: Any) -> Any:
    """A schema that refuses fields it does not name, which a cluster would drop without a word."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def crd_schema(kind: str) -> Any:
    """The strict schema of one of KubeRay's resources."""
    return strict(json.loads((SCHEMAS / f"{kind}.v1.json").read_text()))


def pod_schema() -> Any:
    """The strict schema of a pod template, as KubeRay's resources contain it."""
    cluster = crd_schema("RayCluster")["properties"]["spec"]["properties"]
    return cluster["headGroupSpec"]["properties"]["template"]
