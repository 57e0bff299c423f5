"""What adapter tests share: one PostgreSQL with the ledger in it, one SQLite ledger, the demo mainframe, the demo bureau."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.base import Adapter
from fixtures import customers, odbc
from fixtures.host3270 import Host3270
from fixtures.soap import Bureau
from tests import needs
from tests.adapters.bank import opened
from tests.adapters.bureau import opened as to_bureau
from tests.postgres import Cluster, cluster

LEDGER_CUSTOMERS = [*customers.everyone()[:60], customers.by_id()["0000012345"]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A cluster with the ledger of LEDGER_CUSTOMERS."""
    with cluster() as running:
        odbc.load(running.psycopg, LEDGER_CUSTOMERS)
        yield running


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[odbc.Ledger, str]]:
    """The SQLite ledger of all customers, and its connection string."""
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/*/libsqlite3odbc.so")
    folder: Path = tmp_path_factory.mktemp("ledger")
    made = odbc.Ledger(folder)
    yield made, made.start()
    made.stop()


@pytest.fixture
def host() -> Iterator[Host3270]:
    needs.program("s3270")
    customers.everyone()
    with Host3270(ghost_seconds=0.1) as host:
        yield host


@pytest.fixture
def bank(host: Host3270) -> Iterator[Adapter]:
    """Three sessions."""
    adapter = opened(host.address)
    yield adapter
    adapter.close()


@pytest.fixture
def one(host: Host3270) -> Iterator[Adapter]:
    """One session, so that every call meets what the call before it left."""
    adapter = opened(host.address, ["PASS0001"])
    yield adapter
    adapter.close()


@pytest.fixture
def bureau() -> Iterator[Bureau]:
    bureau = Bureau()
    bureau.address = bureau.start()  # type: ignore[attr-defined]
    yield bureau
    bureau.stop()


@pytest.fixture
def soap(bureau: Bureau) -> Iterator[Adapter]:
    adapter = to_bureau(bureau.address, bureau.login)  # type: ignore[attr-defined]
    yield adapter
    adapter.close()
