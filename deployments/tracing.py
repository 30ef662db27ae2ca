"""Traces of requests across the graph, as OpenTelemetry spans; off unless asked for.

Ray Serve carries the trace from its proxy over every handle and opens a span in each replica. Here
is where the spans go, and what Serve can't see: which stage a driver calls, how often it had to,
and when the first piece came. A `traceparent` header of a caller is continued. To switch it on:

    pip install 'baewoo[tracing]'
    export RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH=deployments.tracing:span_processors
    export RAY_SERVE_TRACING_SAMPLING_RATIO=0.1      # of requests; Serve's default is 0.01
    export OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318

All `OTEL_…` variables of the SDK hold: `OTEL_TRACES_EXPORTER` (`otlp`, `console`, `none` or any
exporter that is installed), `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_…`. A span
holds no text and no audio of users, and of an error only its kind.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TypeVar

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

Result = TypeVar("Result")

# Does nothing until Serve has set up tracing in this process.
_TRACER = trace.get_tracer("baewoo")
_EXPORTERS = "opentelemetry_traces_exporter"


def span_processors() -> list[SpanProcessor]:
    """What Serve hands spans to, in each of its processes, once tracing is on.

    Raises:
        ValueError: the exporter that the environment names is not installed.
    """
    name = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if name == "none":
        return []
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        name = f"otlp_proto_{protocol.partition('/')[0]}"
    for entry_point in entry_points(group=_EXPORTERS, name=name):
        return [BatchSpanProcessor(entry_point.load()())]
    installed = ", ".join(sorted(entry_points(group=_EXPORTERS).names))
    raise ValueError(
        f"the span exporter {name!r} is not installed; there are: none, {installed}; "
        "those of OTLP come with: pip install 'baewoo[tracing]'"
    )


class StageCall:
    """The span of a call."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._has_item = False

    def make(self, make_call: Callable[[], Result]) -> Result:
        """The call, made so that its callee's spans are children of this one."""
        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            return make_call()

    def got_item(self) -> None:
        """A piece has come; the first is what a listener waits for."""
        if not self._has_item:
            self._has_item = True
            self._span.add_event("first item")


@contextmanager
def stage_call(stage: str) -> Iterator[StageCall]:
    """A span around one call of a stage.

    It is no parent of what else happens in the block: a generator may hold it open across yields,
    where a current span would leak into its consumer.

    Args:
        stage: name of the deployment.
    """
    span = _TRACER.start_span(f"call {stage}", kind=SpanKind.CLIENT)
    try:
        yield StageCall(span)
    except (asyncio.CancelledError, GeneratorExit):
        span.add_event("caller left")
        raise
    except Exception as error:
        span.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        span.end()


@contextmanager
def job_span(job_type: str, job_id: str, request_id: str) -> Iterator[None]:
    """A trace of its own around a job, which outlives the request that asked for it.

    Args:
        request_id: of that request; Serve's spans carry the same.
    """
    attributes = {
        "baewoo.job_type": job_type,
        "baewoo.job_id": job_id,
        "baewoo.request_id": request_id,
    }
    with _TRACER.start_as_current_span(
        "job", attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
