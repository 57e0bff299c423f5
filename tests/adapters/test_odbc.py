"""The ODBC adapter against real PostgreSQL (behind the fault proxy) and real SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.base import Reply
from fixtures import customers, odbc
from tests.adapters.conformance import Conformance, Rig
from tests.adapters.odbc_asking import ENTRIES, INCOME, ask, compiled, door, entries_of, income_of
from tests.postgres import Cluster

CUSTOMER = customers.by_id()["0000012345"]


class TestOdbcConforms(Conformance):
    @pytest.fixture
    def rig(self, postgres: Cluster) -> Iterator[Rig]:
        def check(reply: Reply) -> None:
            assert [entries_of(r) for r in reply.records] == odbc.entries(CUSTOMER)

        target = compiled(ENTRIES)
        yield Rig(
            (postgres.host, postgres.port),
            lambda address: door(postgres.odbc(address), pool={"max": 6}),
            lambda seconds: ask(target, seconds, customer_id=CUSTOMER.id),
            check,
        )


class TestTheLedger:
    @pytest.fixture(params=["postgres", "sqlite"])
    def ledgers(self, request: pytest.FixtureRequest) -> str:
        if request.param == "postgres":
            return str(request.getfixturevalue("postgres").odbc())
        return str(request.getfixturevalue("ledger")[1])
