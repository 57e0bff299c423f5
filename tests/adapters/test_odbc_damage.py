"""Sessions whose database went away while they rested, connections that are not ours, and cancels that come too early."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from adapters.errors import DeadlineExceeded, Unavailable
from adapters.odbc.dialect import SQLite, Standard
from adapters.odbc.line import dial
from adapters.odbc.session import connect, database
from adapters.odbc.sql import Statement, parse
from fixtures import odbc
from tests.adapters.odbc_asking import ask, door, statement
from tests.postgres import Cluster

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT COUNT(*) AS total FROM n"


def test_after_a_restart_of_the_database_no_caller_hears_of_it(postgres: Cluster) -> None:
    adapter = door(postgres.odbc(), pool={"max": 3})
    slow = statement("SELECT pg_sleep(0.3)::text AS slept")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: adapter.call(ask(slow)), range(3)))
    with psycopg.connect(postgres.psycopg, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'postgres'")
    time.sleep(0.2)
    for _ in range(3):
        assert adapter.call(ask(statement("SELECT 1 AS one"))).records == ({"one": 1},)
    adapter.close()


def test_a_connection_of_somebody_else_to_the_same_database_is_left_alone() -> None:
    others: list[socket.socket] = []

    class Driver:
        def __init__(self, address: tuple[str, int]) -> None:
            others.append(socket.create_connection(address))
            self._own = socket.create_connection(address)

        def close(self) -> None:
            self._own.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(Unavailable, match="told from another"):
            dial("ledger", listener.getsockname(), time.monotonic() + 2, lambda: Driver(listener.getsockname()))
        peer = listener.accept()[0]
        others[0].sendall(b"still here")
        assert peer.recv(100) == b"still here"
        peer.close()
        others[0].close()


def test_a_connect_that_is_late_is_left_behind_and_no_other_connection_is_touched() -> None:
    """One to the same peer that is opened meanwhile could be taken for the driver's."""
    go_on, closed, others = threading.Event(), threading.Event(), list[socket.socket]()

    class Driver:
        def __init__(self, address: tuple[str, int]) -> None:
            others.append(socket.create_connection(address))
            go_on.wait(5)
            self._own = socket.create_connection(address)

        def close(self) -> None:
            self._own.close()
            closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        start, told = time.monotonic(), list[str]()
        with pytest.raises(DeadlineExceeded):
            dial("ledger", listener.getsockname(), start + 0.2, lambda: Driver(listener.getsockname()), lambda: told.append("fired"))
        assert (time.monotonic() - start < 0.7, told) == (True, ["fired"])
        peer = listener.accept()[0]
        others[0].sendall(b"still here")
        assert peer.recv(100) == b"still here"
        go_on.set()
        assert closed.wait(5)
        peer.close()
        others[0].close()


def test_a_name_that_is_looked_up_for_ever_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(iter(lambda: time.sleep(2), None)))
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        dial("ledger", ("db.example", 5432), start + 0.2, lambda: None)
    assert time.monotonic() - start < 1


class _Slow(SQLite):
    def select(self, statement: Statement, most: int) -> str:
        time.sleep(0.2)
        return super().select(statement, most)


def test_a_computation_that_begins_just_after_the_deadline_is_interrupted_too(ledger: tuple[odbc.Ledger, str]) -> None:
    session = connect(database("ledger", ledger[1], read_only=True, lock_timeout=1.0), time.monotonic() + 5)
    slow: Standard = _Slow()
    session.dialect = slow
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        session.select(parse(ENDLESS), (), 1, start + 0.1)
    assert time.monotonic() - start < 1.1
    with pytest.raises(DeadlineExceeded):
        session.select(parse(ENDLESS), (), 1, start)
    session.close()
