"""What happens to a connection on which a deadline passed: it is ended from outside, counted, and never used again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from adapters import registry
from adapters.base import Adapter, Call
from adapters.errors import DeadlineExceeded
from fixtures.faults import Fault, Proxy
from fixtures.modern import Modern
from tests.adapters.odbc_asking import ask, door, statement
from tests.adapters.test_http import question
from tests.postgres import Cluster

MUTE, TRICKLE = Fault(mute=0), Fault(trickle=20)


class Counted:
    """Events by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def happened(self, event: str, system: str) -> None:
        self.counts[event] += 1

    def level(self, gauge: str, system: str, value: float) -> None: ...

    def took(self, what: str, system: str, seconds: float) -> None: ...


Asked = tuple[Adapter, Callable[[float], Call], Proxy, Counted]


@pytest.fixture(params=["http", "odbc"])
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """An adapter with one connection, behind a proxy."""
    counted = Counted()
    with ExitStack() as up:
        if request.param == "http":
            modern = Modern()
            proxy = up.enter_context(Proxy(modern.start()))
            up.callback(modern.stop)
            system = {"url": "http://{}:{}".format(*proxy.address), "pool": {"max": 1}}
            adapter = registry.adapter("http").open("accounts", system, None, None, counted)  # type: ignore[arg-type]
            call: Callable[[float], Call] = lambda seconds: question(seconds=seconds)  # noqa: E731
        else:
            postgres: Cluster = request.getfixturevalue("postgres")
            proxy = up.enter_context(Proxy((postgres.host, postgres.port)))
            adapter = door(postgres.odbc(proxy.address), counted, pool={"max": 1})
            rows = statement("SELECT i AS number FROM generate_series(1, 500) AS n(i)")
            call = lambda seconds: ask(rows, seconds)  # noqa: E731
        with closing(adapter):
            yield adapter, call, proxy, counted


@pytest.mark.parametrize("fault", [MUTE, TRICKLE], ids=["mute", "trickle"])
def test_it_is_ended_counted_and_not_used_again(asked: Asked, fault: Fault) -> None:
    adapter, call, proxy, counted = asked
    good = adapter.call(call(5)).records
    assert counted.counts == {}
    proxy.set(fault)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        adapter.call(call(0.6))
    assert time.monotonic() - began < 1.6
    assert counted.counts["quarantined"] == 1
    assert counted.counts["watchdog_fired"] or fault is MUTE  # a mute peer meets the socket's own time-out, where there is one
    before = proxy.accepted
    proxy.clear()
    assert adapter.call(call(5)).records == good
    assert proxy.accepted == before + 1


def test_another_connection_to_the_same_database_goes_on(postgres: Cluster) -> None:
    """psqlODBC mute in mid-query, where cancel() hangs too; the store's own connection goes the same way."""
    counted = Counted()
    with Proxy((postgres.host, postgres.port)) as proxy:
        adapter = door(postgres.odbc(proxy.address), counted, pool={"max": 1})
        host, port = proxy.address
        with psycopg.connect(f"host={host} port={port} user=postgres dbname=postgres", autocommit=True) as other:
            adapter.probe(5)
            proxy.set(MUTE)
            with pytest.raises(DeadlineExceeded):
                adapter.call(ask(statement("SELECT 1 AS one"), 0.5))
            assert counted.counts["watchdog_fired"] >= 1
            proxy.clear()
            assert other.execute("SELECT 2").fetchone() == (2,)
        adapter.close()
