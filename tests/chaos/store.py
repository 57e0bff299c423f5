"""Faults of the state store. Reads go on, a write is refused before anything is done, and all is well when the store is back."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import psycopg

from fixtures.faults import Fault
from tests.chaos.jobs import pay
from tests.chaos.rig import DEADLINE, GRACE, Rig
from tests.chaos.rows import Outcome, Row, line
from tests.live import ROOT
from tests.processes import descendants

READS = ("customers.get", "income.summary", "credit.check", "accounts.direct")
ADDRESS = {"line1": "7 STORE STREET", "town": "LEEDS", "postcode": "LS1 4DY"}


def _store(on: Callable[[Rig], AbstractContextManager[object]]) -> Callable[[Rig], Outcome]:
    def run(rig: Rig) -> Outcome:
        rig.together(READS)  # the caller's key is known to every worker
        rig.together(READS)
        commits = rig.estate.host.journal.count("commit")
        with on(rig):
            time.sleep(0.3)
            reads = [rig.ask(name) for name in READS * 2]
            write = _move(rig)
            payment = pay(rig)
        slowest = max(s.seconds for s in (*reads, write, payment))
        told = f"reads {' '.join(sorted({s.slug for s in reads}))}; write {write.status} {write.slug}; payment {payment.status}"
        wrong = ""
        if any(s.slug != "right" for s in reads):
            wrong = "reads did not go on"
        elif write.status != 503 or payment.status != 503:
            wrong = "a write was not refused with 503"
        elif rig.estate.host.journal.count("commit") != commits:
            wrong = "a write was refused, and done"
        elif slowest > DEADLINE + GRACE + 1:
            wrong = f"a call took {slowest:.1f} s"
        return Outcome(told, slowest, wrong or _well(rig))

    return run


def _move(rig: Rig):  # type: ignore[no-untyped-def]
    key = f"store-{rig.dice.getrandbits(60)}"
    return rig.send("PUT", "/v1/customers/0000010009/address", ADDRESS, {"Idempotency-Key": key})


def _well(rig: Rig) -> str:
    """Writes and reads again, without a restart."""
    until = time.monotonic() + 20
    while (seen := _move(rig)).status != 200:
        if time.monotonic() > until:
            return f"afterwards a write is still met with {seen.status} {seen.slug}"
        time.sleep(0.2)
    return rig.well(READS, 10)


def _path(rig: Rig) -> Path:
    return Path(rig.served.state.removeprefix("sqlite:///"))


@contextmanager
def _locked(rig: Rig) -> Iterator[None]:
    with closing(sqlite3.connect(_path(rig), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


@contextmanager
def _full(rig: Rig) -> Iterator[None]:
    """No file may grow: what a full disk is to a process. Lifted afterwards."""
    pids = [pid for pid, line in descendants(rig.served.pid).items() if "s3270 " not in line]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _corrupt(rig: Rig) -> Outcome:
    """A damaged store is refused at the start, in words."""
    damaged = rig.folder / "damaged" / "state.sqlite"
    damaged.parent.mkdir()
    with closing(sqlite3.connect(_path(rig))) as source, closing(sqlite3.connect(damaged)) as copy:
        source.backup(copy)
    key = _path(rig).with_name(_path(rig).name + ".key")
    damaged.with_name(damaged.name + ".key").write_bytes(key.read_bytes())
    content = bytearray(damaged.read_bytes())
    for at in range(4096, len(content), 4096):
        content[at : at + 200] = rig.dice.randbytes(200)
    damaged.write_bytes(content)
    began = time.monotonic()
    argv = [sys.executable, "-m", "wrapper.cli", "jobs", "list", "--state", f"sqlite:///{damaged}"]
    ran = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=20)
    words = (ran.stdout + ran.stderr).strip()
    good = ran.returncode == 1 and "damaged" in words and "Traceback" not in words
    return Outcome(words.rpartition("/")[2][:70], time.monotonic() - began, "" if good else f"exit {ran.returncode}: {words[-200:]}")


@contextmanager
def _read_only(rig: Rig) -> Iterator[None]:
    with psycopg.connect(rig.ledger.psycopg, autocommit=True) as owner:
        for value in ("on", "off"):
            owner.execute("SET default_transaction_read_only = off")
            owner.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
            owner.execute("SELECT pg_reload_conf()")
            if value == "on":
                yield


@contextmanager
def _table_locked(rig: Rig) -> Iterator[None]:
    with psycopg.connect(rig.ledger.psycopg.replace("dbname=postgres", "dbname=figway")) as owner:
        owner.execute("LOCK TABLE writes, jobs, keys IN ACCESS EXCLUSIVE MODE")
        yield
        owner.rollback()


def rows() -> list[Row]:
    return [
        Row("SQLite store", "locked", _store(_locked)),
        Row("SQLite store", "full", _store(_full)),
        Row("SQLite store", "corrupt", _corrupt),
    ]


def postgres_rows() -> list[Row]:
    """For a rig whose store is PostgreSQL, behind the proxy `store`."""
    return [
        Row("PostgreSQL", "down", _store(line("store", Fault(refuse=True)))),
        Row("PostgreSQL", "stalled", _store(line("store", Fault(mute=0)))),
        Row("PostgreSQL", "cut mid-answer", _store(line("store", Fault(cut=30)))),
        Row("PostgreSQL", "read-only", _store(_read_only)),
        Row("PostgreSQL", "locked", _store(_table_locked)),
    ]
