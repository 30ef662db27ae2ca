"""What Serve does with the autoscaling policy and the exporter of spans, on a real cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import ray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import TracingConfig

from deployments.autoscaling.stage_report import stage_report
from deployments.driver.retry import repeated, resumed
from deployments.messages import StageStats

pytestmark = pytest.mark.ray

_APP = "watched"
_IDLE = StageStats(active=0, waiting=0, queued_audio_s=0.0)


class Stage:
    """Reports what a file says, as its first replica; the others have nothing to do."""

    def __init__(self, stats: Path) -> None:
        self._stats = stats

    async def record_autoscaling_stats(self) -> dict[str, float]:
        rank = serve.get_replica_context().rank
        is_first = rank is not None and rank.rank == 0
        stats = StageStats(**json.loads(self._stats.read_text())) if is_first else _IDLE
        return stage_report(stats, num_slots=8)

    async def double(self, number: int) -> int:
        return 2 * number

    async def count(self, number: int) -> Any:
        for value in range(number):
            yield value


class Driver:
    """Calls the stage as the drivers of the graph do."""

    def __init__(self, stage: DeploymentHandle[Any]) -> None:
        self._stage = stage
        self._stream = stage.options(stream=True)

    async def speak(self) -> list[int]:
        doubled = await repeated("Doubler", lambda: self._stage.double.remote(21))
        counted = resumed("Counter", lambda: self._stream.count.remote(3))
        return [doubled, *[value async for value in counted]]


class Collector:
    """An OpenTelemetry collector that keeps spans in memory."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def stats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stats") / "stats.json"
    path.write_text(json.dumps(asdict(_IDLE)))
    return path


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def driver(stats: Path, collector: Collector) -> Iterator[DeploymentHandle[Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        patch.setenv("RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "0.5")
        ray.init(address="local", num_cpus=2, include_dashboard=False)
        try:
            serve.start(
                proxy_location="Disabled",
                tracing_config=TracingConfig(
                    enabled=True,
                    exporter_import_path="deployments.tracing:span_processors",
                    sampling_ratio=1.0,
                ),
            )
            yield serve.run(_application(stats), name=_APP, route_prefix=None)
        finally:
            serve.shutdown()
            ray.shutdown()


def _application(stats: Path) -> serve.Application:
    scaling = AutoscalingConfig(
        min_replicas=1,
        max_replicas=4,
        upscale_delay_s=0,
        downscale_delay_s=0,
        look_back_period_s=15,
        policy=AutoscalingPolicy(
            policy_function="deployments.autoscaling.policy:StagePolicy",
            policy_kwargs={
                "backlog": "waiting_audio_s",
                "full_rate_per_s": 2.0,
                "fixed_step_share": 0.5,
                "target_use": 0.5,
                "drain_s": 20.0,
                "hold_s": 3.0,
            },
        ),
    )
    few_cpus = {"num_cpus": 0.1}
    stage = serve.deployment(name="Stage", autoscaling_config=scaling, ray_actor_options=few_cpus)(
        Stage
    )
    return serve.deployment(name="Driver", ray_actor_options=few_cpus)(Driver).bind(
        stage.bind(stats)
    )


def _wait_until(is_so: Callable[[], bool], what: str, limit_s: float = 90) -> None:
    deadline_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"not within {limit_s} s: {what}"
        time.sleep(0.2)


def _num_running() -> int:
    states = serve.status().applications[_APP].deployments["Stage"].replica_states
    return sum(number for state, number in states.items() if state == "RUNNING")


def test_serve_follows_the_policy_up_and_down(driver: DeploymentHandle[Any], stats: Path) -> None:
    assert _num_running() == 1
    # Half of 80 s waits: 40 s take one replica of 2 s a second 20 s. And all slots are in use.
    stats.write_text(json.dumps(asdict(StageStats(active=8, waiting=8, queued_audio_s=80.0))))
    _wait_until(lambda: _num_running() == 3, "three replicas")
    stats.write_text(json.dumps(asdict(_IDLE)))
    _wait_until(lambda: _num_running() == 1, "one replica")


def test_a_request_is_one_trace_through_driver_and_stage(
    driver: DeploymentHandle[Any], collector: Collector
) -> None:
    assert driver.speak.remote().result() == [42, 0, 1, 2]
    wanted = {
        "call Doubler": "replica_handle_request Stage double",
        "call Counter": "replica_handle_request Stage count",
    }

    def by_name() -> dict[str, Span]:
        return {span.name: span for span in collector.spans}

    root = "replica_handle_request Driver speak"
    _wait_until(
        lambda: {root, *wanted, *wanted.values()} <= set(by_name()), "all spans of the request", 30
    )
    spans = by_name()
    by_id = {span.span_id: span for span in collector.spans}

    def ancestors(span: Span) -> Iterator[Span]:
        while span.parent_span_id:
            span = by_id[span.parent_span_id]
            yield span

    for call, served in wanted.items():
        assert spans[call] in ancestors(spans[served])
        assert spans[root] in ancestors(spans[call])
    assert [event.name for event in spans["call Counter"].events] == ["first item"]
