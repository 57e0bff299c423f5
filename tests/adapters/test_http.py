"""The HTTP adapter against the modern service: exact values, true errors, values that can't leave their step of a path."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from adapters import registry
from adapters.base import Adapter, BadTarget, Call, Reply
from adapters.errors import (
    AdapterError,
    BadLogon,
    Conflict,
    DeadlineExceeded,
    Failed,
    Misread,
    Missing,
    OutcomeUnknown,
    PreconditionFailed,
    Refused,
    Unavailable,
)
from adapters.http.target import HttpTarget
from fixtures.customers import by_id
from fixtures.modern import KINDS, Differences, Modern
from fixtures.web import Asked, Page, Web
from tests.adapters.conformance import Conformance, Rig
from tests.waiting import until

ACCOUNTS: Mapping[str, Any] = {"path": "/customers/{customer_id}/accounts"}
BUSY = by_id()["0000012345"]


def compiled(block: Mapping[str, Any]) -> HttpTarget:
    target = registry.target("http").compile(block, {}, None)  # type: ignore[arg-type]
    assert isinstance(target, HttpTarget)
    return target


def question(block: Mapping[str, Any] = ACCOUNTS, seconds: float = 5.0, effect: Any = "read", **params: Any) -> Call:
    return Call("accounts.list", compiled(block), params or {"customer_id": BUSY.id}, time.monotonic() + seconds, effect=effect)


def opened(address: tuple[str, int], **system: Any) -> Adapter:
    host, port = address
    return registry.adapter("http").open("accounts-api", {"url": f"http://{host}:{port}", **system}, None, None)  # type: ignore[arg-type]


def right(reply: Reply) -> None:
    told = [(r["account"], r["kind"], r.get("opened"), r.get("balance")) for r in reply.records]
    assert told == [
        (a.number, KINDS[a.kind], a.opened and a.opened.isoformat(), None if a.balance is None else str(a.balance)) for a in BUSY.accounts
    ]


def refused(adapter: Adapter, call: Call) -> AdapterError:
    with pytest.raises(AdapterError) as met:
        adapter.call(call)
    assert not any(secret in met.value.detail for secret in ("app-17", BUSY.id, "token"))
    return met.value


@pytest.fixture
def modern() -> Iterator[Modern]:
    modern = Modern()
    modern.address = modern.start()  # type: ignore[attr-defined]
    yield modern
    modern.stop()


@pytest.fixture
def http(modern: Modern) -> Iterator[Adapter]:
    adapter = opened(modern.address)  # type: ignore[attr-defined]
    yield adapter
    adapter.close()


class Service(Web):
    """Answers every request with `page` and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("service", self._page)
        self.page = Page(200, "application/json", b"{}")
        self.asked: list[Asked] = []

    def says(self, body: bytes | str, media: str = "application/json", status: int = 200) -> None:
        self.page = Page(status, media, body.encode() if isinstance(body, str) else body)

    def _page(self, asked: Asked) -> Page:
        self.asked.append(asked)
        return self.page


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    service.address = service.start()  # type: ignore[attr-defined]
    yield service
    service.stop()


@pytest.fixture
def adapter(service: Service) -> Iterator[Adapter]:
    adapter = opened(service.address)  # type: ignore[attr-defined]
    yield adapter
    adapter.close()


class TestHttp(Conformance):
    @pytest.fixture
    def rig(self, modern: Modern) -> Rig:  # type: ignore[override]
        return Rig(modern.address, opened, lambda seconds: question(seconds=seconds), right)  # type: ignore[attr-defined]


def test_an_object_is_one_record_and_what_is_missing_is_not_there(http: Adapter) -> None:
    poor = next(c for c in by_id().values() if c.assets is None)
    (record,) = http.call(question({"path": "/customers/{customer_id}"}, customer_id=poor.id)).records
    assert record["national_id"] == poor.national_id
    assert "assets" not in record


def test_numbers_are_exact(adapter: Adapter, service: Service) -> None:
    service.says('{"amount": 1234567890123456.78, "count": 31, "small": 1e-2}')
    (record,) = adapter.call(question()).records
    assert record == {"amount": Decimal("1234567890123456.78"), "count": 31, "small": Decimal("0.01")}


@pytest.mark.parametrize(
    "body, media",
    [
        ('{"a": 1, "a": 2}', "application/json"),
        ('{"a": NaN}', "application/json"),
        ('{"a": -Infinity}', "application/json"),
        ('{"a": "' + "Ü", "application/json"),
        ("", "application/json"),
        ("[" * 100_000, "application/json"),
        ('{"a": ' + "9" * 5000 + "}", "application/json"),
        (b'{"a": "\xff"}', "application/json"),
        (r'{"a": "\uD800"}', "application/json"),
        ('{"a": 1e99999999}', "application/json"),
        ('{"a": 1e-99999999}', "application/json"),
        ("[1, 2]", "application/json"),
        ("null", "application/json"),
        ("{}", "text/html"),
        ("{}", "text/plain"),
        ("{}", ""),
    ],
)
def test_what_is_not_strict_json_of_objects_is_a_misread(adapter: Adapter, service: Service, body: bytes | str, media: str) -> None:
    service.says(body, media)
    assert type(refused(adapter, question())) is Misread
    assert type(refused(adapter, question(effect="write"))) is OutcomeUnknown


def test_rows_are_the_list_at_their_path_and_anything_else_is_a_misread(adapter: Adapter, service: Service) -> None:
    call = {**ACCOUNTS, "rows": "data/accounts"}
    service.says('{"data": {"accounts": [{"n": 1}, {"n": 2}]}}')
    assert adapter.call(question(call)).records == ({"n": 1}, {"n": 2})
    service.says('{"data": {"accounts": []}}')
    assert adapter.call(question(call)).records == ()
    for body in ('{"data": {}}', '{"data": {"accounts": null}}', '{"data": {"accounts": {"n": 1}}}', "[]", '{"data": {"accounts": [[]]}}'):
        service.says(body)
        assert type(refused(adapter, question(call))) is Misread


@pytest.mark.parametrize(
    "value, target",
    [
        ("a b/c", "/customers/a%20b%2Fc/accounts"),
        ("?x=1#y", "/customers/%3Fx%3D1%23y/accounts"),
        ("MÜLLER", "/customers/M%C3%9CLLER/accounts"),
        ("x\r\nHost: evil", "/customers/x%0D%0AHost%3A%20evil/accounts"),
        ("%2e%2e", "/customers/%252e%252e/accounts"),
    ],
)
def test_a_value_stays_in_its_step_of_the_path(adapter: Adapter, service: Service, value: str, target: str) -> None:
    adapter.call(question(customer_id=value))
    assert [asked.target for asked in service.asked] == [target]


def test_half_a_character_is_refused_before_it_is_sent(adapter: Adapter, service: Service) -> None:
    block = {"method": "POST", "path": "/x/{a}", "query": {"b": "{b}"}, "body": {"c": "{c}"}}
    for name in "abc":
        values: dict[str, Any] = {**dict.fromkeys("abc", "1"), name: "\ud800"}
        assert type(refused(adapter, question(block, **values))) is Refused
    assert service.asked == []
    service.says(r'{"a": "\ud83d\ude00"}')
    assert adapter.call(question()).records == ({"a": "\U0001f600"},)


@pytest.mark.parametrize("value", ["", ".", "..", "../admin", "x/../../admin", "..\\admin", None])
def test_a_value_that_would_climb_is_refused_before_it_is_sent(adapter: Adapter, service: Service, value: str | None) -> None:
    assert type(refused(adapter, question(customer_id=value, other=1))) is Refused
    assert service.asked == []


def test_a_query_and_a_body_are_filled_and_absent_values_left_out(adapter: Adapter, service: Service) -> None:
    block = {
        "path": "/payments",
        "method": "POST",
        "query": {"dry run": "{dry}", "on": "{due:yyyymmdd}", "not": "{absent}"},
        "body": {
            "amount": "{amount}",
            "due": "{due}",
            "to": {"name": "Dr {name}", "no": "{absent}"},
            "items": "{items}",
            "n": 3,
            "ok": True,
        },
    }
    items = [{"sum": Decimal("1.10")}]
    adapter.call(question(block, dry="a&b", due=date(2026, 12, 1), amount=Decimal("5.00"), name='"Ü"', items=items, absent=None))
    (asked,) = service.asked
    assert (asked.method, asked.target) == ("POST", "/payments?dry%20run=a%26b&on=20261201")
    assert asked.headers["Content-Type"] == "application/json"
    assert json.loads(asked.body) == {
        "amount": "5.00", "due": "2026-12-01", "to": {"name": 'Dr "Ü"'}, "items": [{"sum": "1.10"}], "n": 3, "ok": True,
    }  # fmt: skip


@pytest.mark.parametrize("credentials, sent", [({"bearer": "s3cret"}, "Bearer s3cret"), ({"basic": "u:p"}, "Basic dTpw")])
def test_credentials_go_in_the_authorization_header(service: Service, credentials: Mapping[str, str], sent: str) -> None:
    adapter = opened(service.address, credentials=credentials)  # type: ignore[attr-defined]
    adapter.call(question())
    adapter.close()
    assert service.asked[0].headers["Authorization"] == sent


def test_a_404_with_a_problem_is_missing(http: Adapter) -> None:
    assert type(refused(http, question(customer_id="9999999999"))) is Missing


def test_a_404_page_of_somebody_else_is_not_a_missing_customer(adapter: Adapter, service: Service) -> None:
    service.says("<html>no such route on app-17</html>", "text/html", 404)
    assert type(refused(adapter, question())) is Misread


@pytest.mark.parametrize(
    "status, kind, write",
    [
        (400, Refused, Refused),
        (401, BadLogon, BadLogon),
        (403, BadLogon, BadLogon),
        (404, Missing, Missing),
        (409, Conflict, Conflict),
        (412, PreconditionFailed, PreconditionFailed),
        (415, Failed, Failed),
        (422, Refused, Refused),
        (429, Unavailable, Unavailable),
        (500, Failed, OutcomeUnknown),
        (503, Unavailable, OutcomeUnknown),
        (302, Misread, OutcomeUnknown),
        (202, Misread, OutcomeUnknown),
    ],
)
def test_a_status_is_its_error(
    adapter: Adapter, service: Service, status: int, kind: type[AdapterError], write: type[AdapterError]
) -> None:
    service.says('{"title": "token of app-17"}', "application/problem+json", status)
    assert type(refused(adapter, question())) is kind
    assert type(refused(adapter, question(effect="write"))) is write


def test_rules_look_at_the_status_and_into_the_answer(adapter: Adapter, service: Service) -> None:
    errors = {
        "frozen": {"when": {"status": "409", "error/code": "FROZEN"}, "status": 422},
        "later": {"when": {"status": "409"}, "status": 503, "retry": True},
        "soft": {"when": {"outcome": "ERROR"}, "status": 502},
    }
    block = {**ACCOUNTS, "errors": errors}
    service.says('{"error": {"code": "FROZEN"}}', status=409)
    assert (type(error := refused(adapter, question(block))), error.code) == (Refused, "frozen")
    service.says('{"error": {"code": "BUSY"}}', status=409)
    assert (type(error := refused(adapter, question(block))), error.retry) == (Unavailable, True)
    service.says('{"outcome": "ERROR"}')
    assert type(refused(adapter, question(block))) is Failed


@pytest.mark.parametrize(("said", "build"), [("2026.11-rc1", "2026.11-rc1"), ("", ""), ("x" * 65, ""), ("ü", ""), ("a b", "")])
def test_the_build_that_answered_is_told_in_few_visible_characters(service: Service, said: str, build: str) -> None:
    service.page = Page(200, "application/json", b"{}", {"X-Build": said})
    adapter = opened(service.address, build="X-Build")  # type: ignore[attr-defined]
    assert adapter.call(question()).build == build
    adapter.close()


def test_a_writes_key_is_sent_where_the_block_names_a_header(adapter: Adapter, service: Service) -> None:
    block = {**ACCOUNTS, "method": "PUT", "idempotency": "Idempotency-Key"}
    for asked in (question(block, effect="write"), question({**block, "idempotency": "Once"}, effect="write"), question(block)):
        adapter.call(replace(asked, key="k1"))
    adapter.call(question(block, effect="write"))
    assert [(one.headers.get("Idempotency-Key"), one.headers.get("Once")) for one in service.asked] == [
        ("k1", None), (None, "k1"), (None, None), (None, None),
    ]  # fmt: skip


def test_no_content_is_no_row(adapter: Adapter, service: Service) -> None:
    service.page = Page(204, "", b"")
    assert adapter.call(question(effect="write")).records == ()


@pytest.mark.parametrize(
    "fault, kind", [("html_502", Unavailable), ("html_200", Misread), ("redirect", Misread), ("wrong_type", Misread), ("huge", Misread),
                    ("short", Unavailable), ("hang_up", Unavailable), ("trickle", DeadlineExceeded), ("mute", DeadlineExceeded)],
)  # fmt: skip
def test_a_sick_service_is_its_error_and_a_write_is_unknown(modern: Modern, http: Adapter, fault: str, kind: type[AdapterError]) -> None:
    modern.fault = fault
    assert type(refused(http, question(seconds=0.4))) is kind
    assert type(refused(http, question(seconds=0.4, effect="write"))) is OutcomeUnknown
    modern.fault = ""
    right(http.call(question()))


@pytest.mark.parametrize(
    "block, where, message",
    [
        ({"path": "/a?b=1"}, ("path",), "a query goes under `query`"),
        ({"path": "/a/../b"}, ("path",), "without '.' or '..'"),
        ({"path": "/a/{b"}, ("path",), "a brace"),
        ({"path": "/a", "body": {"x": "y"}}, ("body",), "a GET carries no body"),
        ({"path": "/a", "method": "PUT", "body": {"x": ["{y:week}"]}}, ("body", "x", 0), "'week' in {y:week} is not a date layout"),
        ({"path": "/a", "query": {"q": "{a"}}, ("query", "q"), "a brace"),
    ],
)
def test_a_block_is_checked(block: Mapping[str, Any], where: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(BadTarget) as met:
        compiled(block)
    assert any(fault.path == where and message in fault.message for fault in met.value.faults), met.value.faults


def test_the_compiler_knows_what_is_used() -> None:
    block = {"path": "/a/{b}", "method": "POST", "query": {"q": "{c.d}"}, "body": {"x": [{"y": "{e} {f}"}]}}
    assert compiled(block).uses == {"b", "c", "e", "f"}


@pytest.mark.parametrize(
    "differences, differs",
    [
        (Differences(), False),
        (Differences(rounding=True), True),
        (Differences(sign=True), True),
        (Differences(trailing_blanks=True), True),
        (Differences(missing_row=True), True),
        (Differences(order=True), True),
        (Differences(window=True), True),
        (Differences(nulls=True), False),
        (Differences(order=True, every=7), BUSY.row % 7 == 0),
    ],
)
def test_the_modern_service_differs_only_where_it_is_told_to(
    modern: Modern, http: Adapter, differences: Differences, differs: bool
) -> None:
    modern.differences = differences
    reply = http.call(question())
    if differs:
        with pytest.raises(AssertionError):
            right(reply)
    else:
        right(reply)


def test_the_modern_service_can_fail_and_be_slow(modern: Modern, http: Adapter) -> None:
    modern.differences = Differences(error=500)
    assert type(refused(http, question())) is Failed
    modern.differences = Differences(latency=1)
    assert type(refused(http, question(seconds=0.2))) is DeadlineExceeded


ADDRESS: Mapping[str, Any] = {
    "path": "/customers/{customer_id}/address",
    "method": "PUT",
    "body": {"line1": "{line1}", "town": "{town}", "postcode": "{postcode}", "old_line1": "{old_line1}"},
    "idempotency": "Idempotency-Key",
}
MOVED = {"customer_id": BUSY.id, "line1": "1 MILL LANE", "town": "BATH", "postcode": "BA1 1AA"}


def move(key: str = "k1", **more: Any) -> Call:
    return replace(question(ADDRESS, effect="write", **{**MOVED, **more}), key=key)


def test_the_modern_service_moves_a_customer_once_a_key(modern: Modern, http: Adapter) -> None:
    assert http.call(move()).records == http.call(move()).records == (MOVED,)
    assert [(key, id, address.line1) for key, id, address in modern.journal] == [("k1", BUSY.id, "1 MILL LANE")]
    (record,) = http.call(question({"path": "/customers/{customer_id}"}, customer_id=BUSY.id)).records
    assert (record["line1"], record["name"]) == ("1 MILL LANE", BUSY.name)
    assert type(refused(http, move(line1="2 MILL LANE"))) is Refused
    assert type(refused(http, move("k2", old_line1="9 THE GREEN"))) is PreconditionFailed
    assert type(refused(http, move("k3", postcode="TOO LONG A ONE"))) is Refused
    assert type(refused(http, move("k4", customer_id="9999999999"))) is Missing
    http.call(move("k5", old_line1="1 MILL LANE", line1="2 MILL LANE"))
    assert [done.key for done in modern.journal] == ["k1", "k5"]


def test_the_modern_service_fails_a_write_before_or_after_it_is_done(modern: Modern, http: Adapter) -> None:
    modern.differences = Differences(write="fail")
    assert type(refused(http, move())) is OutcomeUnknown
    assert modern.journal == []
    modern.differences = Differences(write="crash")
    assert type(refused(http, move())) is OutcomeUnknown
    assert len(modern.journal) == 1
    modern.differences = Differences(write_latency=0.4)
    assert type(refused(http, replace(move("k2"), deadline=time.monotonic() + 0.2))) is OutcomeUnknown
    until(lambda: len(modern.journal) == 2)
    modern.differences = Differences(stall=True)
    assert type(refused(http, replace(move("k3"), deadline=time.monotonic() + 0.2))) is OutcomeUnknown
    modern.differences = Differences()
    for key in ("k1", "k2"):
        assert http.call(move(key)).records == (MOVED,)
    assert [done.key for done in modern.journal] == ["k1", "k2"]


def test_the_modern_service_has_switches_for_other_processes(modern: Modern) -> None:
    host, port = modern.address  # type: ignore[attr-defined]

    def switches(data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        asked = urllib.request.Request(f"http://{host}:{port}/switches", body, method="GET" if data is None else "PUT")
        with urllib.request.urlopen(asked, timeout=5) as told:
            return json.load(told)

    told = switches({"differences": {"rounding": True, "every": 20}, "build": "2"})
    assert told["differences"] == {**asdict(Differences()), "rounding": True, "every": 20}
    adapter = opened((host, port), build="x-build")
    assert adapter.call(question()).build == modern.build == "2"
    adapter.call(move())
    adapter.close()
    assert switches() == {**told, "requests": 2, "journal": [["k1", BUSY.id, {k: MOVED[k] for k in ("line1", "town", "postcode")}]]}
    with pytest.raises(urllib.error.HTTPError, match="422"):
        switches({"differences": {"roundin": True}})
    assert switches({"build": "3"})["differences"] == told["differences"]
