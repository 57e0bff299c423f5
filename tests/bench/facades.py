"""Rows over HTTP: Figway and what a user would assemble, each a server, against the bare Flask hello."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from tests.bench import estate, shadowed
from tests.bench.rounds import Load, Measured, Target, against, in_turn
from tests.bench.servers import THREADS, Server, facade, peer
from tests.bench.table import Row
from tests.live import Served, serving
from wrapper import catalogue
from wrapper.live import operator

SECRET = "a secret of the bench and of nothing else"
OURS = [f"FIGW{n:02}" for n in range(1, 17)]
GRANIANS = ["FIGW25"]
THEIRS = [f"FIGW{n:02}" for n in range(17, 21)]
MODELS = estate.FIXTURES.parent / "models"
MOVED = {name: shadowed.endpoint(name, "mute-api" if name == "moved.stalled" else "accounts-api") for name in shadowed.NAMES.values()}
NATIONAL_IDS = [f"EJ{n:06}A" for n in range(100000, 100040)]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long: `seconds` a slice, `rounds` of them; `settle` seconds until a stalled system has its callers; `starts` of the facade."""

    rounds: int
    seconds: float
    settle: float
    starts: int


@contextmanager
def figway(env: Mapping[str, str], folder: Path, users: list[str], server: str = "gunicorn") -> Iterator[Served]:
    """One worker, all endpoints, an API key for all of them."""
    folder.mkdir()
    made = estate.catalogue(folder / "catalogue", users, MOVED)
    caller = operator(catalogue.load(made, MODELS))
    told = {**env, "FIGWAY_THREADS": str(THREADS), "FIGWAY_MODELS": str(MODELS), "FIGWAY_SERVER": server}
    with serving(told, [caller], folder, made) as served:
        yield served


def get(server: Server, path: str, keys: list[str], expect: str = "%s", headers: Mapping[str, str] | None = None) -> Target:
    """GET `path` for each of the keys in turn; the answer must hold `expect`; `%s` is the key."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    sent = [f"GET {path.replace('%s', key)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n{lines}\r\n" for key in keys]
    return Target(server, [(text, 200, expect.replace("%s", key)) for text, key in zip(sent, keys, strict=True)])


@dataclass(frozen=True, slots=True)
class Servers:
    """All that run at once; `asked` are the targets by name; `took` is the facade's start in seconds, `state` its store."""

    figway: Server
    took: float
    state: str
    headers: Mapping[str, str]
    asked: Mapping[str, Target]


@contextmanager
def everything(env: Mapping[str, str], folder: Path, keys: str) -> Iterator[Servers]:
    """The servers that the rows `keys` need."""
    token = {"Authorization": f"Bearer {jwt.encode({'sub': 'world'}, SECRET, 'HS256')}"}
    wsdl = str(estate.FIXTURES / "wsdl" / "credit.wsdl")
    customers, one = estate.CUSTOMERS, estate.CUSTOMERS[0]
    peers: dict[str, tuple[str, Callable[[], AbstractContextManager[Server]], str, list[str], str, Mapping[str, str]]] = {
        "hello": ("*", lambda: peer("hello", {}, "/"), "/", ["world"], "%s", {}),
        "hello again": ("*", lambda: peer("hello", {}, "/"), "/", ["world"], "%s", {}),
        "assembled": (
            "a", lambda: peer("assembled", {"BENCH_SECRET": SECRET}, f"/customers/{one}", token), "/customers/%s", customers, "%s", token,
        ),
        "requests": ("b", lambda: peer("with_requests", env, f"/customers/{one}"), "/customers/%s", customers, "%s", {}),
        "pyodbc": ("c", lambda: peer("with_pyodbc", env, f"/customers/{one}/income"), "/customers/%s/income", customers, "expenses", {}),
        "zeep": ("d", lambda: peer("with_zeep", {**env, "BENCH_WSDL": wsdl}, "/credit/EJ100000A"), "/credit/%s", NATIONAL_IDS, "%s", {}),
        "py3270": (
            "e", lambda: peer("with_py3270", {**env, "BENCH_USERS": ",".join(THEIRS)}, f"/customers/{one}"),
            "/customers/%s", customers, "postcode", {},
        ),
    }  # fmt: skip
    wanted = {name: made for name, made in peers.items() if made[0] == "*" or made[0] in keys}
    with ExitStack() as up, ThreadPoolExecutor(4) as starting:
        ours = starting.submit(lambda: up.enter_context(figway(env, folder / "figway", OURS)))
        theirs = {name: starting.submit(lambda made=made: up.enter_context(made[1]())) for name, made in wanted.items()}
        asked = {name: get(theirs[name].result(), path, ids, expect, heads) for name, (_, _, path, ids, expect, heads) in wanted.items()}
        server = facade(ours.result())
        headers = _headers(ours.result())
        paths = {
            "a": ("cached", "/v1/cached/%s", customers, '"customer_id":"%s"'),
            "b": ("passed", "/v1/passed/%s", customers, '"customer_id":"%s"'),
            "c": ("ledger", "/v1/customers/%s/income", customers, '"expenses":"'),
            "d": ("credit", "/v1/credit/%s", NATIONAL_IDS, '"reference":"CR32205577"'),
            "e": ("customer", "/v1/customers/%s", customers, '"customer_id":"%s"'),
        }
        asked |= {name: get(server, path, ids, text, headers) for key, (name, path, ids, text) in paths.items() if key in keys}
        if "g" in keys:
            served = up.enter_context(figway(env, folder / "granian", GRANIANS, "granian"))
            quick, key = facade(served), _headers(served)
            named = {f"{name}, granian": paths[row] for row, name in (("a", "cached"), ("b", "passed"), ("c", "ledger"))}
            asked |= {name: get(quick, path, ids, text, key) for name, (_, path, ids, text) in named.items()}
        yield Servers(server, ours.result().took, ours.result().state, headers, asked)


def _headers(served: Served) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.keys['operator']}", "Figway-Purpose": "credit-risk"}


def rows(load: Load, servers: Servers, plan: Plan) -> Iterator[Row]:
    """The issue's (a) to (e), each with its peer."""
    slices = in_turn(load, servers.asked, plan.rounds, plan.seconds)
    met = {name: against(slices["hello"], found) for name, found in slices.items()}
    own = met["hello"]
    yield Row("", "the yardstick: a bare Flask hello", f"{own.rate:.2f}x; {own.micros:.0f} us CPU a request")
    low, high = met["hello again"].quartiles
    quiet = "" if low > 0.9 and high < 1.1 else " **The machine was not quiet: ratios of this run are rough.**"
    yield Row("", "the yardstick again (A/A control)", _told(met["hello again"]) + quiet)
    if "cached" in met:
        half = met["cached"].cpu / met["assembled"].cpu
        yield Row("a", "a cached answer, CPU", _told(met["cached"]), met["cached"].cpu, 1.4, 1.2, "less")
        yield Row(
            "a",
            "the same work (parameter check, kept record, dump) by Flask-Limiter + PyJWT + prometheus-flask-exporter + marshmallow",
            _told(met["assembled"]),
        )
        yield Row("a", "CPU of a cached answer, of that stack's", f"{half:.2f}x", half, 0.5, None, "less")
    for key, ours, what, floor, aim, peers in (
        ("b", "passed", "pass-through to a JSON service", 0.55, 0.70, {"requests": "Flask + requests"}),
        ("c", "ledger", "ODBC by key", 0.62, 0.85, {"pyodbc": "Flask + pyodbc"}),
        ("d", "credit", "SOAP", 0.30, 0.40, {"zeep": "Flask + zeep"}),
        ("e", "customer", "3270, 4 sessions in use", 0.25, 0.40, {"py3270": "Flask + py3270, 4 sessions"}),
    ):
        if ours in met:
            yield Row(key, what, _told(met[ours]), met[ours].rate, floor, aim)
            yield from (Row(key, named, _told(met[peer])) for peer, named in peers.items())
    if "customer" in met:
        p50 = met["customer"].p50 * 1000
        yield Row("e", "3270, 4 sessions, half of the answers within", f"{p50:.1f} ms", p50, None, 5, "less", " ms")
    if "ledger, granian" in met:
        yield Row("g", "under granian: a cached answer", _told(met["cached, granian"]))
        yield Row("g", "under granian: pass-through to a JSON service", _told(met["passed, granian"]))
        yield Row("g", "under granian: ODBC by key", _told(met["ledger, granian"]), met["ledger, granian"].rate, None, 1.3)


def sessions(load: Load, servers: Servers, plan: Plan) -> Iterator[Row]:
    """3270 enquiries per second by how many ask at once."""
    for count in (1, 4, 16):
        load.measure(servers.asked["customer"], count, plan.seconds)  # sessions sign on
        met = load.measure(servers.asked["customer"], count, plan.seconds * min(plan.rounds, 4))
        yield Row("e", f"3270, {count} at once", f"{met.rate:.0f} enquiries/s, p50 {met.p50 * 1000:.1f} ms, p99 {met.p99 * 1000:.1f} ms")


def shadowing(load: Load, servers: Servers, plan: Plan) -> Iterator[Row]:
    """What it costs a caller that the other side is asked too."""
    paths = {name: f"/v1/{moved.replace('.', '/')}/%s" for name, moved in shadowed.NAMES.items()}
    targets = {name: get(servers.figway, path, estate.CUSTOMERS, '"customer_id":"%s"', servers.headers) for name, path in paths.items()}
    yield from shadowed.rows(load, servers.state, targets, plan.rounds, plan.seconds)


def stalled(load: Load, other: Load, servers: Servers, plan: Plan) -> Iterator[Row]:
    """One mainframe stalls for ever, with 1.5 clients a thread at it: what is left for another endpoint."""
    ledger = get(servers.figway, "/v1/customers/%s/income", estate.CUSTOMERS, '"expenses":"', servers.headers)
    dead = get(servers.figway, "/v1/stalled/%s", estate.CUSTOMERS, "", servers.headers)
    seconds = plan.seconds * plan.rounds
    clear = load.ask(ledger, 4, seconds=seconds)
    other.start(dead, THREADS * 3 // 2, seconds=seconds + 2 * plan.settle)
    load.ask(ledger, 4, seconds=plan.settle)  # by now every client waits or was shed
    met = load.ask(ledger, 4, seconds=seconds)
    told = other.finish()
    assert set(told["statuses"]) <= {"503", "504"}, told
    kept = _good(met) / _good(clear)
    shed = ", ".join(f"{count} x {status}" for status, count in sorted({**told["statuses"], "no answer": told["lost"]}.items()) if count)
    yield Row(
        "3", "throughput kept while one mainframe is stalled", f"{kept:.0%} (its own clients: {shed})", kept * 100, None, 80, "more", "%"
    )


def start(env: Mapping[str, str], folder: Path, servers: Servers, plan: Plan) -> Iterator[Row]:
    """From the command to the first answer of /health/ready; memory after all that was asked before."""
    took = [servers.took]
    for n in range(1, plan.starts):
        with figway(env, folder / f"start{n}", THEIRS) as served:
            took.append(served.took)
    middle, memory = sorted(took)[len(took) // 2], servers.figway.memory()
    yield Row("f", "start, until ready", f"{middle:.2f} s", middle, 1, None, "less", " s")
    yield Row("f", "memory of a worker (PSS)", f"{memory:.0f} MiB", memory, 100, None, "less", " MiB")


def _good(told: Mapping[str, Any]) -> float:
    """Right answers a second."""
    rate: float = told["statuses"].get("200", 0) / told["seconds"]
    return rate


def _told(met: Measured) -> str:
    low, high = met.quartiles
    return (
        f"**{met.rate:.2f}x** ({low:.2f}-{high:.2f}) the throughput, {met.cpu:.2f}x the CPU ({met.micros:.0f} us),"
        f" p50 {met.p50 * 1000:.1f} ms, p99 {met.p99 * 1000:.1f} ms"
    )
