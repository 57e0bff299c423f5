"""OpenTelemetry spans, by hand: one per request, one per back-end call. Off unless an endpoint is set: only then is the SDK imported.

The caller's W3C trace context is the parent, and goes on to the back ends that take headers. Attributes are names, statuses and times,
never a value. A collector that is down or stalls costs the spans that do not fit the queue, and never a request's time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

PATIENCE = 2.0  # seconds for one export, and for the last one at the end of the process


@dataclass(frozen=True, slots=True)
class Served:
    """A request's span, and what puts the thread's context back."""

    span: Span
    token: Any


class Tracing:
    """Spans of this process, made after the fork: it has a thread. `endpoint` is a collector's base address, http://collector:4318."""

    def __init__(self, endpoint: str, lost: Callable[[], None] = lambda: None) -> None:
        from opentelemetry import context, trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)  # a collector that is away is counted, not told again and again
        self._context, self._trace, self._carrier = context, trace, TraceContextTextMapPropagator()
        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "figway"}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(endpoint, lost)))
        self._tracer = self._provider.get_tracer("figway")

    def begin(self, operation: str, header: Callable[[str], str | None]) -> Served:
        """A request's span becomes this thread's."""
        carried = {name: value for name in ("traceparent", "tracestate") if (value := header(name)) is not None}
        parent = self._carrier.extract(carried, context=self._context.Context())
        attributes = {"figway.operation": operation}
        span = self._tracer.start_span(operation, parent, self._trace.SpanKind.SERVER, attributes)
        return Served(span, self._context.attach(self._trace.set_span_in_context(span, parent)))

    def end(self, served: Served, method: str, status: int) -> None:
        """It ends, with its status."""
        served.span.set_attributes({"http.request.method": method, "http.response.status_code": status})
        if status >= 500:
            served.span.set_status(self._trace.StatusCode.ERROR)
        served.span.end()
        self._context.detach(served.token)

    @contextmanager
    def call(self, operation: str, system: str, side: str) -> Iterator[None]:
        """A back-end call's span, within the request's; a join's parts have it from the context that they run in."""
        attributes = {"figway.operation": operation, "figway.system": system, "figway.side": side}
        with self._tracer.start_as_current_span(
            system, kind=self._trace.SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
        ):
            yield

    def outcome(self, outcome: str, left: float) -> None:
        """How the present call ended."""
        span = self._trace.get_current_span()
        span.set_attributes({"figway.outcome": outcome, "figway.deadline_left": round(left, 3)})
        if outcome != "ok":
            span.set_status(self._trace.StatusCode.ERROR)

    def carried(self) -> Mapping[str, str]:
        """The headers that carry the present span to a back end."""
        headers: dict[str, str] = {}
        self._carrier.inject(headers)
        return headers

    def ids(self, event: dict[str, Any]) -> None:
        """For log lines: which trace and span they belong to."""
        found = self._trace.get_current_span().get_span_context()
        if found.is_valid:
            event["trace_id"], event["span_id"] = f"{found.trace_id:032x}", f"{found.span_id:016x}"

    def close(self) -> None:
        """Send what is left, for PATIENCE at most."""
        ending = threading.Thread(target=self._provider.shutdown, name="figway-tracing", daemon=True)
        with suppress(RuntimeError):
            ending.start()
            ending.join(PATIENCE)


def _exporter(endpoint: str, lost: Callable[[], None]) -> SpanExporter:
    """OTLP over HTTP; a batch that could not be delivered is counted."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    class Counted(OTLPSpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            result = super().export(spans)
            if result is not SpanExportResult.SUCCESS:
                lost()
            return result

    return Counted(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=PATIENCE)
