"""What the store needs of an engine: transactions, the store's clock, and schema versions. Statements are written once, for both.

SQL is what SQLite and PostgreSQL share: `?` for values, TEXT REAL INTEGER BLOB in the schema, ON CONFLICT, RETURNING. What must not run
twice at once names its `alone` lock; one statement is a whole by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wrapper.state.schema import STEPS, VERSION

Row = Mapping[str, Any]
BOUND = 3.0
"""Seconds within which whatever is wrong with an engine is NotReady."""


class BadStore(Exception):
    """The store can't be used at all: wrong URL, newer schema, damaged file, lost key. Figway refuses to start on it."""


class Result(Protocol):
    """What a statement did: a cursor of either engine."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


@dataclass(frozen=True, slots=True)
class Transaction:
    """`execute(sql, values)` within a transaction. `now()` is the store's steady time, for leases and everything that ends;
    `wall()` is the time of day, for people. Both are seconds since the epoch."""

    execute: Callable[..., Result]
    now: Callable[[], float]
    wall: Callable[[], float]

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row, if any."""
        row: Row | None = self.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return self.execute(sql, values).fetchall()


class Database(Protocol):
    """An engine. Thread-safe; a forked child has connections of its own. Whatever is wrong with it is NotReady, within BOUND."""

    where: str
    """For messages: no secret in it."""
    folder: Path
    """For files beside the store."""

    def create(self, there: bool) -> None:
        """What must be there, and sound, before the schema; neither made nor looked through when it has been `there`. Raises BadStore."""

    def transaction(self, alone: str = "", within: float = BOUND, apart: str = "") -> AbstractContextManager[Transaction]:
        """Durable when the block has ended well, undone by any exception. At one time only one transaction is `alone` under a name.
        It waits for at most `within` seconds; what is `apart` does not wait for a connection that others of this process share."""

    def reading(self, apart: str = "") -> AbstractContextManager[Transaction]:
        """Reads that wait for no writer; each statement sees what was committed before it."""

    def bulk(self) -> AbstractContextManager[Transaction]:
        """A transaction that may take as long as it needs and sees one moment: for backup and restore."""

    def scrub(self) -> str:
        """See that what was deleted leaves the files as far as that can be done while they are in use; what is to be said of the rest."""

    def version(self, tx: Transaction) -> int:
        """Of the schema; 0 when there is none yet."""

    def upgraded(self, tx: Transaction, version: int) -> None:
        """Note the schema's version."""

    def dialect(self, statement: str) -> str:
        """A statement of the schema in this engine's types."""

    def started(self, tx: Transaction) -> None:
        """This process begins to use the store, whose schema is the present one."""

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""


def prepare(database: Database, tx: Transaction, on_new: Callable[[], None]) -> int:
    """Schema and version, before the first promise is made on it; the version that was there. Raises BadStore.

    `on_new` makes what belongs to a new store; its tables are there only when that is, too.
    """
    version = database.version(tx)
    if version > VERSION:
        raise BadStore(f"{database.where}: its schema is version {version}, this Figway knows up to {VERSION}: run the newer one")
    if version == 0:
        on_new()
    for number in range(version + 1, VERSION + 1):
        for statement in STEPS[number].split(";"):
            if statement.strip():
                tx.execute(database.dialect(statement))
    if version < VERSION:
        database.upgraded(tx, VERSION)
    database.started(tx)
    return version


def note(tx: Transaction, name: str, value: str) -> None:
    """A fact about the store itself."""
    tx.execute("INSERT INTO figway (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))


def noted(tx: Transaction, name: str) -> str | None:
    """The fact, None when it was never noted."""
    row = tx.one("SELECT value FROM figway WHERE name = ?", (name,))
    return None if row is None else str(row["value"])
