"""What a back end is told leaves this machine under verified TLS, or for a reason that the catalogue states: for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters import clear
from adapters.errors import AdapterError, Misconfigured
from adapters.httpwire import Wire
from adapters.odbc.session import database
from adapters.tn3270.adapter import _place
from tests.adapters.odbc_asking import door
from tests.pki import self_signed
from tests.postgres import cluster

ODBC = "DRIVER=psqlodbcw.so;Server={};Port=5432"
MSSQL = "DRIVER=ODBC Driver 18 for SQL Server;Server={};Port=1433"


def odbc(dsn: str, system: Mapping[str, Any]) -> str:
    return database("x", dsn, read_only=True, lock_timeout=1, system=system).dsn


OPENED: Mapping[str, Callable[[str, Mapping[str, Any]], object]] = {
    "http": lambda host, system: Wire("x", f"http://{host}", system),
    "tn3270": lambda host, system: _place("x", {"host": host, **system}),
    "tn3270 unverified": lambda host, system: _place("x", {"host": host, "tls": {"verify": False}, **system}),
    "odbc": lambda host, system: odbc(f"{ODBC.format(host)};SSLmode=require", system),
    "odbc by the short name": lambda host, system: odbc(f"{ODBC.format(host)};CA=d", system),
    "odbc by libpq": lambda host, system: odbc(f"{ODBC.format(host)};SSLmode=verify-full;pqopt={{sslmode=disable}}", system),
    "odbc, trusting": lambda host, system: odbc(f"{MSSQL.format(host)};Encrypt=yes;TrustServerCertificate=yes", system),
    "odbc, of an unknown driver": lambda host, system: odbc(f"DRIVER=libx.so;Server={host};Port=1", system),
}
SAFE: Mapping[str, Callable[[str], object]] = {
    "http": lambda host: Wire("x", f"https://{host}", {}),
    "tn3270": lambda host: _place("x", {"host": host, "tls": {}}),
    "odbc": lambda host: odbc(f"{ODBC.format(host)};SSLmode=verify-full", {}),
    "odbc, mssql": lambda host: odbc(f"{MSSQL.format(host)};Encrypt=strict", {}),
    "odbc, db2": lambda host: odbc(f"DRIVER=libdb2.so;Server={host};Port=1;Security=SSL", {}),
}


@pytest.mark.parametrize("kind", OPENED)
@pytest.mark.parametrize("host", ["10.1.2.3", "mainframe.example", "127.0.0.1.example"])
def test_in_the_clear_nothing_leaves_this_machine_but_for_a_stated_reason(kind: str, host: str) -> None:
    with pytest.raises(Misconfigured, match="without verified TLS"):
        OPENED[kind](host, {})
    OPENED[kind](host, {"clear": "a wire of our own"})
    OPENED[kind]("127.0.0.1", {})


@pytest.mark.parametrize("kind", SAFE)
def test_verified_tls_needs_no_reason(kind: str) -> None:
    SAFE[kind]("mainframe.example")


def test_psqlodbc_is_told_to_verify_where_nothing_is_said() -> None:
    assert odbc(ODBC.format("db.example"), {}).endswith(";SSLmode=verify-full")
    assert "SSLmode" not in odbc(ODBC.format("127.0.0.1"), {}) + odbc(ODBC.format("db.example"), {"clear": "why"})


def test_only_this_machine_is_loopback() -> None:
    assert all(map(clear.is_loopback, ("localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1", "[::1]")))
    assert not any(map(clear.is_loopback, ("10.0.0.1", "localhost.example", "0.0.0.0", "::", "")))


def test_a_database_is_believed_by_its_authority_and_name_only(tmp_path: Path) -> None:
    pem = self_signed()
    with cluster(pem) as postgres:
        file = _written(pem, tmp_path)
        dsn = f"{postgres.odbc()}SSLmode=verify-full;"
        asked = f"{dsn}pqopt={{sslrootcert={file}}}"
        probe(asked)
        with pytest.raises(AdapterError):
            probe(asked.replace(str(file), str(_written(self_signed(), tmp_path))))
        with pytest.raises(AdapterError):
            probe(asked.replace("Server=127.0.0.1", "Server=localhost"))


def probe(dsn: str) -> None:
    with closing(door(dsn)) as adapter:
        adapter.probe(5)


def _written(pem: str, folder: Path) -> Path:
    file = folder / f"{hash(pem)}.pem"
    file.write_text(pem)
    return file
