"""A planted value is where it may be, and nowhere else: for each endpoint and each field with personal data.

One customer has values that nobody else has. Everything that a facade does is done to them: reads, a write and its replay, a job, a
comparison that differs, refusals, errors of all kinds, a back end that can't be read. Then all that Figway has written or said is searched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from fixtures import customers
from fixtures.estate import Estate
from fixtures.modern import Differences
from tests import needs
from tests.flow.canaries import everything, found
from tests.flow.client import Facade, Response
from tests.live import CATALOGUE, ROOT, serving
from tests.processes import descendants
from tests.waiting import free_port, until
from wrapper import catalogue
from wrapper.migration.decide import Standing
from wrapper.operation import Field, Operation
from wrapper.policy.keys import Caller
from wrapper.state.store import Store

ID = "0000014001"
PLANTED = {
    "name": "ZYXWQUA KANARIENVOGEL",
    "line1": "77 QUETZALGASSE",
    "town": "XANTHIPPOLIS",
    "postcode": "QZ91 9XK",
    "national_id": "KH771177D",
}
MOVED = {"line1": "88 PTERODAKTYLWEG", "town": "ZWIEBELFURT", "postcode": "ZX82 8QJ"}
OTHER = "66 ICHTHYOSAURUS ROAD"
DEBTOR, CREDITOR = "918273645546", "827364554619"
OPERATIONS = catalogue.load(CATALOGUE).operations
SCOPES = frozenset(
    ["customers:read", "accounts:read", "credit:read", "ledger:read", "applications:read", "risk:read", "customers:write", "payments:write"]
)
SHADOWED = ("accounts.list", "customers.get")
ALL = {"customer": frozenset({"*"})}
CALLERS = (
    Caller("teller", SCOPES - {"customers:write"}, frozenset({"credit-risk"}), ALL),
    Caller("mover", frozenset({"customers:write"}), frozenset(), ALL),
    Caller("clear", SCOPES | {"pii:read"}, frozenset({"credit-risk"}), ALL),
    Caller("migrator", frozenset({"migration:read", "migration:samples"}), frozenset(), ALL),
)


@dataclass(slots=True)
class Seen:
    """What one life of a facade has left behind, and what it said."""

    written: dict[str, bytes]
    masked: dict[str, list[bytes]] = field(default_factory=dict)  # answers to who may not see it, by endpoint
    clear: dict[str, list[bytes]] = field(default_factory=dict)
    errors: list[bytes] = field(default_factory=list)


def fields(of: tuple[Field, ...]) -> Iterator[Field]:
    for one in of:
        yield one
        yield from fields(one.of)


def pii(operation: Operation) -> list[str]:
    """Its fields with personal data, of what it is asked and of what it answers."""
    asked = fields(tuple(param.field for param in operation.params))
    return sorted({one.name for one in [*asked, *fields(operation.fields)] if one.pii})


CASES = [(name, one) for name, operation in sorted(OPERATIONS.items()) for one in pii(operation)]


def values(operation: str, name: str) -> list[str]:
    """What is planted there."""
    known = {
        **{key: [value] for key, value in PLANTED.items()},
        "account": [one.number for one in customers.by_id()[ID].accounts],
        "old_line1": [OTHER],
        "debtor": [DEBTOR],
        "creditor": [CREDITOR],
        "customer_id": [ID],
    }
    return [MOVED[name]] if operation == "customers.move" and name in MOVED else known[name]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    needs.program("s3270")
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "tmp").mkdir()
    customers.plant(ID, **PLANTED)
    estate = Estate()
    with estate as settings:
        admin = f"127.0.0.1:{free_port()}"
        environ = {
            **settings,
            "FIGWAY_LOG_LEVEL": "debug",
            "TMPDIR": str(folder / "tmp"),
            "FIGWAY_ADMIN_BIND": admin,
            "FIGWAY_WORKERS": "2",
        }
        arguments: set[str] = set()
        with serving(environ, CALLERS, folder) as served:
            facade, told = Facade(served.address, served.keys, estate, served.log), Seen({})
            stop = threading.Event()
            watch = threading.Thread(target=_watch, args=(served.pid, arguments, stop))
            watch.start()
            _live(facade, told, Store(served.state, there=True))
            told.errors.append(urllib.request.urlopen(f"http://{admin}/metrics", timeout=10).read())
            stop.set()
            watch.join()
            told.errors += _commands(served.state, environ)
    told.written = {**dict(everything(folder)), "process arguments": "\n".join(arguments).encode()}
    return told


def _watch(pid: int, arguments: set[str], stop: threading.Event) -> None:
    while not stop.wait(0.01):
        arguments.update(descendants(pid).values())


def _live(facade: Facade, told: Seen, store: Store) -> None:
    """A day of a facade: two endpoints are in shadow, and modern differs in all that it says of a customer."""
    store.move(SHADOWED, Standing("shadow"), "test", "")
    until(lambda: facade.ask(f"GET /v1/customers/{ID}", headers={"Figway-Explain": "1"}).headers["figway-stage"] == "shadow")
    facade.estate.modern.differences = Differences(rounding=True, sign=True, missing_row=True)
    for name, path, body in _asked():
        for key, kept in (("mover" if name == "customers.move" else "teller", told.masked), ("clear", told.clear)):
            headers = None if body is None else {"Idempotency-Key": f"{key}-{name}", "Prefer": "wait=10"}
            for _ in range(1 if body is None else 2):  # a write's second answer is a replay
                answer = facade.ask(path, key=key, body=body, headers=headers)
                assert answer.status in (200, 202), (name, answer.content)
                kept.setdefault(name, []).append(answer.content)
    refused = [answer for answer in (*_refused(facade), *_ill(facade)) if answer.status >= 400]
    assert {answer.status for answer in refused} >= {400, 401, 403, 404, 412, 422, 502, 503}, [answer.content for answer in refused]
    told.errors += [
        answer.content + repr({**answer.headers, "link": ""}).encode() for answer in refused
    ]  # a link names the caller's own path
    looks = [f"GET /migration/{name}{what}" for name in SHADOWED for what in ("", "/samples", "/rules")]
    until(lambda: b'"class"' in facade.ask(looks[1], key="migrator").content)
    told.errors += [facade.ask(look, key="migrator").content for look in looks]
    told.errors += [facade.ask("GET /openapi.json", key=None).content]


def _asked() -> Iterator[tuple[str, str, Any]]:
    """Every endpoint with the planted customer: name, request, and the body of a write. The address is written last."""
    yield "accounts.list", f"GET /v1/customers/{ID}/accounts", None
    yield "customers.get", f"GET /v1/customers/{ID}", None
    yield "customers.risk", f"GET /v1/customers/{ID}/risk", None
    yield "credit.check", f"GET /v1/credit/{PLANTED['national_id']}", None
    yield "applications.get", f"GET /v1/customers/{ID}/application", None
    yield "income.summary", f"GET /v1/customers/{ID}/income", None
    yield "ledger.entries", f"GET /v1/customers/{ID}/entries", None
    payments = [{"debtor": DEBTOR, "creditor": CREDITOR, "amount": "1.00", "due": "2026-12-01"}]
    yield "payments.create", "POST /v1/payments", {"payments": payments}
    yield "customers.move", f"PUT /v1/customers/{ID}/address", MOVED


def _refused(facade: Facade) -> Iterator[Response]:
    """Everything that can go wrong with the planted values in the request or in what a back end says."""
    move = f"PUT /v1/customers/{ID}/address"
    yield facade.ask(move, key="mover", body={**MOVED, "line1": MOVED["line1"] * 3}, headers={"Idempotency-Key": "m1"})
    yield facade.ask(move, key="mover", body={**MOVED, "extra": PLANTED["name"]}, headers={"Idempotency-Key": "m2"})
    yield facade.ask(move, key="mover", body={**MOVED, "old_line1": OTHER}, headers={"Idempotency-Key": "m3"})
    yield facade.ask(move, key="mover", raw=json.dumps(MOVED).encode()[:-1], headers={"Idempotency-Key": "m4"})
    bad = [{"debtor": DEBTOR + "9", "creditor": CREDITOR, "amount": "x", "due": PLANTED["name"]}]
    yield facade.ask("POST /v1/payments", body={"payments": bad}, headers={"Idempotency-Key": "p1"})
    yield facade.ask(f"GET /v1/credit/{PLANTED['national_id']}x")
    yield facade.ask(f"GET /v1/customers/{ID}?name={PLANTED['name'].replace(' ', '%20')}")
    yield facade.ask(f"GET /v1/nowhere/{PLANTED['national_id']}")
    yield facade.ask(f"GET /v1/customers/{ID}/accounts", key=f"fw_000000000000_{PLANTED['name'].replace(' ', '-'):x<43}")
    yield facade.ask(f"GET /v1/customers/{ID}", headers={"X-Request-Id": PLANTED["name"], "Figway-Purpose": PLANTED["name"]})


def _ill(facade: Facade) -> Iterator[Response]:
    """A mainframe that shows another's screen, none that is known, and messages."""
    for fault in ("stale", "wrong_screen", "abend", "try_later"):
        for id in (ID, "0000012345", ID):
            setattr(facade.estate.host.switches, fault, 1)
            yield facade.ask(f"GET /v1/customers/{id}")
        setattr(facade.estate.host.switches, fault, 0)


def _commands(state: str, environ: Mapping[str, str]) -> list[bytes]:
    """What an operator's commands print."""
    said = []
    for words in (["jobs", "list"], ["writes", "list"], ["key", "list"], ["migrate", "status"]):
        argv = [sys.executable, "-m", "wrapper.cli", *words, "--state", state]
        done = subprocess.run(
            argv, cwd=ROOT, env={**os.environ, **environ, "FIGWAY_CATALOGUE": str(CATALOGUE)}, capture_output=True, timeout=30
        )
        said.append(done.stdout + done.stderr)
    return said


def test_everything_was_asked(seen: Seen) -> None:
    assert set(seen.masked) == set(seen.clear) == set(OPERATIONS)
    assert {"figway.log", "state.sqlite", "process arguments"} <= {name.rpartition("/")[2] for name in seen.written}


@pytest.mark.parametrize(("operation", "name"), CASES)
def test_a_planted_value_is_where_it_may_be_and_nowhere_else(seen: Seen, operation: str, name: str) -> None:
    shown = [one for one in fields(OPERATIONS[operation].fields) if one.pii and one.name == name]
    may = bool(shown) and operation == "customers.move"  # who writes an address is shown it
    for value in values(operation, name):
        if shown:
            assert any(found(value, answer) for answer in seen.clear[operation]), "the twin: who may see it does"
        assert bool([answer for answer in seen.masked[operation] if found(value, answer)]) == may
        assert not [error for error in seen.errors if found(value, error)]
        assert {file: how for file, data in seen.written.items() if (how := found(value, data))} == {}


@pytest.mark.parametrize("value", [ID, *MOVED.values()])
def test_whose_data_they_are_is_written_down_nowhere_either(seen: Seen, value: str) -> None:
    assert {file: how for file, data in seen.written.items() if (how := found(value, data))} == {}
    assert not [error for error in seen.errors if found(value, error)]
