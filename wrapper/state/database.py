"""SQLite as the store keeps it: one connection and one lock per process, opened after fork, durable before it acknowledges.

`synchronous=FULL` because an acknowledged write must survive a power cut; WAL so that readers don't wait for the writer.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from wrapper.problems import NotReady

VERSION = 1
SCHEMA = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, purposes TEXT NOT NULL, claims TEXT NOT NULL,
    created REAL NOT NULL, revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE writes (
    caller TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'done', 'unknown')), until REAL NOT NULL, answer BLOB, job TEXT, created REAL NOT NULL,
    PRIMARY KEY (caller, operation, key)
) STRICT;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, caller TEXT NOT NULL, operation TEXT NOT NULL, params BLOB NOT NULL, trace TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'publishing', 'published', 'replied', 'failed', 'unknown', 'poisoned')),
    step TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
    lease_by TEXT, lease_until REAL NOT NULL DEFAULT 0,
    created REAL NOT NULL, updated REAL NOT NULL, expect_by REAL NOT NULL, answer BLOB, error TEXT, archived INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_open ON jobs (state, next_at);
CREATE INDEX jobs_unarchived ON jobs (state, archived);
"""


class BadStore(Exception):
    """The store can't be used at all: wrong URL, newer schema, damaged file, lost key. Figway refuses to start on it."""


class Database:
    """Transactions on one SQLite file. Thread-safe; a forked child opens its own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """A write transaction, committed on the way out, rolled back by any exception. Raises NotReady when the store is locked or gone."""
        if not self._lock.acquire(timeout=3):
            raise NotReady("the state store is busy")
        try:
            connection = self._connect()
            connection.execute(begin)
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
        except sqlite3.Error as error:
            raise NotReady(f"the state store can't be used ({type(error).__name__})") from error
        finally:
            self._lock.release()

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction that only reads: it waits for no writer."""
        return self.transaction("BEGIN")

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None or self._owner != os.getpid():
            connection = sqlite3.connect(self.path, timeout=2, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._connection, self._owner = connection, os.getpid()
        return self._connection

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None


def open_database(url: str, on_new: Callable[[Path], None]) -> Database:
    """`sqlite:///absolute/or/relative/path` -> a checked database, made if need be. Raises BadStore with what to do.

    `on_new` makes what belongs to a new store; its tables are there only when that is, too.
    """
    if not url.startswith("sqlite:///"):
        raise BadStore(f"the state store's URL must be sqlite:///PATH, met {url.partition(':')[0]}:...")
    path = Path(url.removeprefix("sqlite:///"))
    if path.name == ":memory:":
        raise BadStore("the state store must be a file: what lies in memory is no promise")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _checked(Database(path), on_new)
    except (OSError, NotReady) as error:
        raise BadStore(f"{path}: {error}; restore a backup or name another file") from None


def _checked(database: Database, on_new: Callable[[Path], None]) -> Database:
    """Integrity and schema version, before the first promise is made on it."""
    with database.transaction() as db:
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise OSError("its file is damaged")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise OSError(f"its schema is version {version}, this Figway knows up to {VERSION}")
        if version == 0:
            on_new(database.path)
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={VERSION}")
    database.close()
    return database
