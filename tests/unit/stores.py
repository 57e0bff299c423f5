"""Stores and clocks for tests: places where a store can be, on either engine."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from tests.postgres import Cluster, cluster
from wrapper.state.clock import Clock
from wrapper.state.store import Store


@dataclass
class Time:
    """A host's clocks, set by hand."""

    wall: float = 1_800_000_000.0
    steady: float = 1000.0
    booted: str = "boot"

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.steady, lambda: self.booted)


@dataclass(frozen=True)
class Place:
    """Where a store is, or will be: its URL and the file of its key."""

    url: str
    key: Path

    def open(self, clock: Clock | None = None) -> Store:
        return Store(self.url, self.key, clock)

    @property
    def file(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def said(self, sql: str) -> list[tuple[object, ...]]:
        """A statement by somebody else, and its rows."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.file, isolation_level=None)) as db:
                return db.execute(sql).fetchall()
        with psycopg.connect(self.url, autocommit=True) as other:
            done = other.execute(sql.encode())
            return done.fetchall() if done.description else []


def died(place: Place, name: str = "x") -> None:
    """A process that opens the store, reserves write `name` there and is killed."""
    code = (
        "import os, sys; from pathlib import Path; from wrapper.state.store import Store; from wrapper.state.records import WriteId;"
        "Store(sys.argv[1], Path(sys.argv[2])).reserve(WriteId('a', 'b', sys.argv[3]), {}, 60); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, place.url, place.key, name], timeout=30, check=False)


def on_sqlite(folder: Path) -> Place:
    return Place(f"sqlite:///{folder}/state.sqlite", folder / "state.sqlite.key")


def on_postgres(server: Cluster, folder: Path, name: str, address: tuple[str, int] | None = None) -> Place:
    """A schema of its own in the cluster, asked directly or through a proxy."""
    with psycopg.connect(server.psycopg, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {name}".encode())
    host, port = address or (server.host, server.port)
    return Place(f"postgresql://postgres@{host}:{port}/postgres?options={quote(f'-c search_path={name}')}", folder / "state.key")


_numbers = iter(range(1_000_000))


@pytest.fixture(scope="session")
def server() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Once on each engine, new and empty."""
    if request.param == "sqlite":
        return on_sqlite(tmp_path)
    return on_postgres(request.getfixturevalue("server"), tmp_path, f"t{next(_numbers)}")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with closing(place.open()) as made:
        yield made
