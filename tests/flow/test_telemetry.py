"""What `figway serve` tells of requests and calls: spans at a collector, log lines that name them, numbers over all workers.

And what it costs a request when collector and log reader stall: nothing.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from fixtures.web import Asked, Page, Web
from tests.live import Served, serving
from tests.unit.test_metrics import value
from tests.waiting import free_port, until
from wrapper.policy import keys

ENDPOINT = """
endpoint: {name}
summary: One thing
owner: us
group: things
route: GET /v1/{name}/{{id}}
auth: {{scope: things:read}}
effect: read
request:
  id: {{in: path, type: string, pattern: "[0-9]{{1,5}}"}}
response:
  object: {{word: {{type: string{source}}}}}
{asked}
limits: {{deadline: 5s}}
examples:
  - {{request: {{id: "1"}}, expect: {{status: 200}}}}
"""
ALONE = '{system: shelf, path: "/things/{id}"}'
JOIN = 'parts:\n  first: {use: things, with: {id: "{id}"}}\n  second: {use: things, with: {id: "{id}"}}'
ID, TRACE, CALLER = "31415", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OURS = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


class Collector(Web):
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__("collector", self._take)
        self.spans: list[Span] = []
        self.bodies = b""

    def _take(self, asked: Asked) -> Page:
        assert (asked.method, asked.target) == ("POST", "/v1/traces")
        self.bodies += asked.body
        for resource in ExportTraceServiceRequest.FromString(asked.body).resource_spans:
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return Page(200, "application/x-protobuf", b"")

    def of(self, trace: str, count: int) -> list[Span]:
        """The spans of a trace, when there are that many."""
        until(lambda: sum(span.trace_id.hex() == trace for span in self.spans) >= count)
        return [span for span in self.spans if span.trace_id.hex() == trace]


class Shelf(Web):
    """The back end; has one thing, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("shelf", self._thing)
        self.asked: list[Asked] = []

    def _thing(self, asked: Asked) -> Page:
        self.asked.append(asked)
        if asked.target == f"/things/{ID}":
            return Page(200, "application/json", b'{"word": "brick"}')
        return Page(404, "application/json", b"{}")


@dataclass(frozen=True)
class Scene:
    served: Served
    shelf: Shelf
    collector: Collector
    admin: str

    def ask(self, path: str, **headers: str) -> http.client.HTTPResponse:
        line = http.client.HTTPConnection(*self.served.address, timeout=10)
        line.request("GET", path, headers={"Authorization": f"Bearer {self.served.keys['me']}", **headers})
        answer = line.getresponse()
        answer.read()
        line.close()
        return answer

    def page(self) -> str:
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            text: str = answer.read().decode()
        return text

    def told(self, event: str, request_id: str | None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.served.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event and line["request_id"] == request_id]


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    catalogue = folder / "catalogue"
    (catalogue / "endpoints").mkdir(parents=True)
    (catalogue / "systems.yaml").write_text("systems:\n  shelf:\n    kind: http\n    url: env:SHELF_URL\n")
    for name, source, asked in (("things", "", f"legacy: {ALONE}"), ("pairs", ", from: second.word", JOIN)):
        (catalogue / "endpoints" / f"{name}.yaml").write_text(ENDPOINT.format(name=name, source=source, asked=asked))
    shelf, collector = Shelf(), Collector()
    urls = [f"http://{host}:{port}" for host, port in (shelf.start(), collector.start())]
    traced = {"FIGWAY_OTLP_ENDPOINT": urls[1], "OTEL_BSP_SCHEDULE_DELAY": "100"}
    settings = {"SHELF_URL": urls[0], "FIGWAY_WORKERS": "2", "FIGWAY_DRAIN": "0", "FIGWAY_ADMIN_BIND": f"127.0.0.1:{free_port()}", **traced}
    try:
        with serving(settings, [keys.Caller("me", frozenset({"things:read"}))], folder, catalogue) as served:
            yield Scene(served, shelf, collector, settings["FIGWAY_ADMIN_BIND"])
    finally:
        shelf.stop()
        collector.stop()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("told")) as made:
        yield made
        last = made.ask(f"/v1/things/{ID}").headers["X-Request-Id"]
    assert made.told("request", last)  # a process ends with its last lines written


def attributes(span: Span) -> Mapping[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value or a.value.double_value for a in span.attributes}


def test_a_call_is_a_span_of_the_callers_trace_and_the_back_end_is_told(stage: Scene) -> None:
    answer = stage.ask(f"/v1/things/{ID}", **OURS)
    assert answer.status == 200
    request, call = sorted(stage.collector.of(TRACE, 2), key=lambda span: span.kind)
    assert (request.name, request.kind, request.parent_span_id.hex()) == ("things", Span.SPAN_KIND_SERVER, CALLER)
    assert attributes(request) == {"figway.operation": "things", "http.request.method": "GET", "http.response.status_code": 200}
    assert (call.name, call.kind, call.parent_span_id) == ("shelf", Span.SPAN_KIND_CLIENT, request.span_id)
    left = attributes(call)["figway.deadline_left"]
    assert attributes(call) == {
        "figway.operation": "things", "figway.system": "shelf", "figway.side": "legacy",
        "figway.outcome": "ok", "figway.deadline_left": left,
    }  # fmt: skip
    assert 0.5 < left <= 1
    assert stage.shelf.asked[-1].headers["traceparent"] == f"00-{TRACE}-{call.span_id.hex()}-01"
    known = answer.headers["X-Request-Id"]
    until(lambda: stage.told("request", known))  # written when the caller has its answer
    lines = [*stage.told("request", known), *stage.told("backend", known)]
    assert [(line["trace_id"], line["span_id"]) for line in lines] == [(TRACE, request.span_id.hex()), (TRACE, call.span_id.hex())]
    assert ID.encode() not in stage.collector.bodies
    assert ID not in stage.served.log.read_text()


def test_the_parts_of_a_join_are_spans_of_its_request(stage: Scene) -> None:
    trace = TRACE[::-1]
    assert stage.ask(f"/v1/pairs/{ID}", traceparent=f"00-{trace}-{CALLER}-01").status == 200
    spans = stage.collector.of(trace, 3)
    [request] = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    assert [span.parent_span_id for span in spans if span is not request] == [request.span_id] * 2


def test_what_the_caller_does_not_want_traced_is_not(stage: Scene) -> None:
    assert stage.ask(f"/v1/things/{ID}", traceparent=f"00-{TRACE}-{CALLER}-00").status == 200
    assert stage.shelf.asked[-1].headers["traceparent"].endswith("-00")


def test_numbers_are_those_of_all_workers_and_go_with_the_facade(stage: Scene) -> None:
    assert len(list(stage.served.log.parent.glob("counted-*"))) == 1
    until(lambda: value(stage.page(), "figway_writes_unknown") == 0)  # of the job worker
    before = stage.page()
    assert [stage.ask("/v1/things/2").status for _ in range(20)] == [404] * 20
    page = stage.page()
    for series in (
        'figway_requests_total{operation="things",side="",status="404"}',
        'figway_backend_calls_total{operation="things",outcome="Missing",side="legacy",system="shelf"}',
    ):
        assert (value(page, series) or 0) - (value(before, series) or 0) == 20
    assert stage.ask("/metrics").status == 404  # but on the listener for it


def test_a_log_that_nobody_reads_and_a_collector_that_stalls_cost_no_request_and_no_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "figway.log")
    unread = os.open(tmp_path / "figway.log", os.O_RDWR)
    fcntl.fcntl(unread, fcntl.F_SETPIPE_SZ, 4096)
    try:
        with scene(tmp_path) as stalled:
            stalled.collector.fault = "mute"
            slowest = 0.0
            for _ in range(30):
                began = time.monotonic()
                assert stalled.ask(f"/v1/things/{ID}").status == 200
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < 3
            ended = time.monotonic()
        assert time.monotonic() - ended < 20
        assert not list(tmp_path.glob("counted-*"))
    finally:
        os.close(unread)
