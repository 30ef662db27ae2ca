"""Dashboards and alerts ask for metrics that exist, in queries that Prometheus understands."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import ray
import yaml

from deployments.errors import SpeechError
from tests.cluster.manifests import CHECKOUT, CLUSTER, RENDERED, groups, ray_cluster_spec, resources

RULES = yaml.safe_load((CLUSTER / "prometheus/alerts.yaml").read_text())["groups"]
DASHBOARD = json.loads((CLUSTER / "grafana/baewoo.json").read_text())
SERIES = re.compile(r"(?<![\w:\"])(?:ray_|baewoo:)[\w:]+")
FAMILY = re.compile(r'__name__=~"(ray_[^"]+)"')
HISTOGRAM_SUFFIX = re.compile(r"_(bucket|count|sum)$")


def rule_queries() -> Iterator[tuple[str, str]]:
    for group in RULES:
        for rule in group["rules"]:
            yield rule.get("alert", rule.get("record")), rule["expr"]


def panel_queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]


QUERIES = [*rule_queries(), *panel_queries()]
queries = pytest.mark.parametrize("query", [q for _, q in QUERIES], ids=[n for n, _ in QUERIES])


@cache
def own_metrics() -> frozenset[str]:
    """The names of all metrics that the deployments make, as Prometheus gets to see them.

    Ray puts `ray_` before them. `StageMetrics` makes its own for each stage that it is made for.
    """
    sources = [ast.parse(path.read_text()) for path in (CHECKOUT / "deployments").rglob("*.py")]
    calls = [
        node
        for tree in sources
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args
    ]
    stages = {_text(call.args[0]) for call in calls if _name(call) == "StageMetrics"}
    names = {
        _text(call.args[0]) for call in calls if _name(call) in ("Counter", "Gauge", "Histogram")
    }
    return frozenset(
        f"ray_{name.replace('{stage}', stage)}"
        for name in names
        for stage in (stages if "{stage}" in name else {""})
        if name
    )


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(
                f"{{{ast.unparse(value.value)}}}"
                if isinstance(value, ast.FormattedValue)
                else _text(value)
                for value in values
            )
    return ""


@cache
def rays_own_dashboards() -> str:
    folder = Path(ray.__file__).parent / "dashboard/modules/metrics/dashboards"
    return "".join(path.read_text() for path in folder.glob("*_panels.py"))


@cache
def serves_own_metrics() -> frozenset[str]:
    """Names in the source of Ray Serve, of which its dashboards show a part."""
    source = (Path(ray.__file__).parent / "serve/_private/deployment_state.py").read_text()
    return frozenset(f"ray_{name}" for name in re.findall(r'Gauge\(\s*"(\w+)"', source))


def without_grafana_variables(query: str) -> str:
    return query.replace("$__rate_interval", "5m")


@queries
def test_prometheus_understands_the_query(query: str) -> None:
    promql_parser.parse(without_grafana_variables(query))


def test_a_wrong_query_is_found() -> None:
    with pytest.raises(ValueError):
        promql_parser.parse("sum(rate(ray_baewoo_errors_total[5m])")


@queries
def test_every_metric_of_the_query_exists(query: str) -> None:
    recorded = {rule["record"] for group in RULES for rule in group["rules"] if "record" in rule}
    own, rays = own_metrics() | serves_own_metrics(), rays_own_dashboards()
    found, families = SERIES.findall(query), FAMILY.findall(query)
    assert found or families
    for family in families:
        assert any(re.fullmatch(family, name) for name in own), family
    for series in found:
        metric = HISTOGRAM_SUFFIX.sub("", series)
        known = series in recorded or metric in own
        assert known or re.search(rf"\b{metric}(_bucket|_count|_sum)?\{{", rays), series


def test_the_metrics_of_the_deployments_are_found() -> None:
    assert {"ray_baewoo_first_audio_seconds", "ray_baewoo_s1_slot_use"} <= own_metrics()


def test_every_metric_of_the_deployments_is_on_the_dashboard_or_in_an_alert() -> None:
    asked = {
        HISTOGRAM_SUFFIX.sub("", series) for _, query in QUERIES for series in SERIES.findall(query)
    }
    families = {family for _, query in QUERIES for family in FAMILY.findall(query)}
    # Listeners who leave are shown by route; by stage they say the same once more.
    families.add("ray_baewoo_.+_cancels_total")
    unseen = {
        name
        for name in own_metrics() - asked
        if not any(re.fullmatch(family, name) for family in families)
    }
    assert unseen == set()


def test_alerts_name_errors_that_exist() -> None:
    known = {each.slug for each in _family(SpeechError)}
    for name, query in rule_queries():
        for slugs in re.findall(r'slug=~?"([^"]+)"', query):
            assert set(slugs.split("|")) <= known, name


def _family(error: type[SpeechError]) -> set[type[SpeechError]]:
    return {error}.union(*(_family(each) for each in error.__subclasses__()))


def test_alerts_say_what_is_wrong_and_what_to_look_at() -> None:
    for group in RULES:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("warning", "critical")
                assert set(rule["annotations"]) == {"summary", "description"}


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: dict[tuple[int, int], int] = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert taken.setdefault((x, y), panel["id"]) == panel["id"]


def test_prometheus_finds_the_port_and_the_labels_that_pods_have() -> None:
    prometheus = yaml.safe_load((CLUSTER / "prometheus/prometheus.yaml").read_text())
    (scrape,) = prometheus["scrape_configs"]
    monitor = yaml.safe_load((CLUSTER / "prometheus/pod-monitor.yaml").read_text())["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert _kept(scrape) == {"baewoo", "metrics"}
    for name in ("base", "gpu"):
        ((_, service),) = resources("RayService", RENDERED / f"{name}.yaml")
        spec = ray_cluster_spec(service)
        assert spec is not None
        for group in groups(spec):
            template = group["template"]
            assert (
                monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
            )
            (container,) = template["spec"]["containers"]
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            assert ports[endpoint["port"]] == 8080


def _kept(scrape: dict[str, Any]) -> set[str]:
    return {each["regex"] for each in scrape["relabel_configs"] if each.get("action") == "keep"}
