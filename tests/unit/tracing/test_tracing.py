import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from deployments.tracing import job_span, span_processors, stage_call

_EXPORTER = InMemorySpanExporter()
_SECRET = "부장님이 한 말"


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    """Tracing as Serve sets it up in a replica; it can be done once in a process."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_EXPORTER))
    trace.set_tracer_provider(provider)


@pytest.fixture(autouse=True)
def finished() -> Iterator[None]:
    _EXPORTER.clear()
    yield


def _spans() -> dict[str, ReadableSpan]:
    return {span.name: span for span in _EXPORTER.get_finished_spans()}


def _event_names(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


async def _tokens(stage: str, num_tokens: int) -> AsyncGenerator[int]:
    """A streaming call, as a driver makes it."""
    with stage_call(stage) as span:
        span.make(lambda: trace.get_tracer("serve").start_span(f"serve {stage}").end())
        for token in range(num_tokens):
            span.got_item()
            yield token


def test_what_a_callee_does_is_a_child_of_the_call() -> None:
    with job_span("synthesize", "job-1", "request-1"), stage_call("Vocoder") as span:
        span.make(lambda: trace.get_tracer("serve").start_span("in the replica").end())
    spans = _spans()
    job, made, inner = spans["job"], spans["call Vocoder"], spans["in the replica"]
    assert job.context and made.context and made.parent and inner.parent
    assert (made.parent.span_id, inner.parent.span_id) == (
        job.context.span_id,
        made.context.span_id,
    )
    assert dict(job.attributes or {}) == {
        "baewoo.job_type": "synthesize",
        "baewoo.job_id": "job-1",
        "baewoo.request_id": "request-1",
    }


def test_two_streams_read_in_turns_keep_their_own_calls() -> None:
    async def scenario() -> None:
        with job_span("synthesize", "job-1", "request-1"):
            async with aclosing(_tokens("S1", 3)) as some, aclosing(_tokens("S2", 3)) as other:
                for _ in range(3):
                    await anext(some)
                    await anext(other)

    asyncio.run(scenario())
    spans = _spans()
    parents = {name: span.parent.span_id for name, span in spans.items() if span.parent}
    ids = {name: span.context.span_id for name, span in spans.items() if span.context}
    assert parents == {
        "call S1": ids["job"],
        "call S2": ids["job"],
        "serve S1": ids["call S1"],
        "serve S2": ids["call S2"],
    }


def test_the_first_item_of_a_stream_is_noted_once() -> None:
    async def scenario() -> None:
        assert [token async for token in _tokens("S1", 3)] == [0, 1, 2]

    asyncio.run(scenario())
    assert _event_names(_spans()["call S1"]) == ["first item"]


def test_a_caller_that_leaves_is_no_error() -> None:
    async def scenario() -> None:
        async with aclosing(_tokens("S1", 3)) as tokens:
            await anext(tokens)

    asyncio.run(scenario())
    span = _spans()["call S1"]
    assert _event_names(span) == ["first item", "caller left"]
    assert span.status.status_code is StatusCode.UNSET


def test_an_error_is_named_without_what_it_says() -> None:
    with pytest.raises(ValueError), job_span("synthesize", "job-1", "request-1"), stage_call("S1"):
        raise ValueError(_SECRET)
    for span in _spans().values():
        assert span.status.status_code is StatusCode.ERROR
        assert _SECRET not in span.to_json(indent=None).encode().decode("unicode_escape")
        assert span.status.description == "ValueError"


def test_spans_reach_the_collector_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "baewoo-test")
    provider = TracerProvider()
    for processor in span_processors():
        provider.add_span_processor(processor)
    provider.get_tracer("test").start_span("a call").end()
    provider.shutdown()
    server.shutdown()
    server.server_close()
    (resource_spans,) = received[0].resource_spans
    attributes = {item.key: item.value.string_value for item in resource_spans.resource.attributes}
    assert attributes["service.name"] == "baewoo-test"
    assert [span.name for span in resource_spans.scope_spans[0].spans] == ["a call"]


def test_exporting_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert span_processors() == []


def test_an_exporter_that_is_not_installed_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(ValueError, match=r"'zipkin'.*console.*baewoo\[tracing\]"):
        span_processors()
