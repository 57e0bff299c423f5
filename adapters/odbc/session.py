"""One live connection, bounded: no driver call outlives its deadline, and the driver's errors leave as ours."""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pyodbc

from adapters import clear, tcp, watchdog
from adapters.base import Events
from adapters.errors import AdapterError, DeadlineExceeded, Misconfigured, Misread, OutcomeUnknown
from adapters.events import SILENT
from adapters.odbc import dialect
from adapters.odbc.dialect import Dialect, Standard
from adapters.odbc.line import dial
from adapters.odbc.sql import Statement
from adapters.odbc.states import LOCKED, meaning, sqlstate
from adapters.odbc.values import reported

pyodbc.pooling = False  # unixODBC's own pool would keep sessions that we have closed

Rows = Sequence[Sequence[Any]]
NOTHING: Mapping[str, Any] = {}
_PREPARED = 32  # cursors kept per session, each with its prepared statement
_CLOSE = 1.0
_BUSY = 50  # milliseconds that SQLite's driver waits for a lock, twice, whatever happens; more of it is waited for in _execute
_REST, _PING = 30.0, 1.0  # a session idle for longer must answer a ping first
_KEY = re.compile(r"\s*([^=;{}]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)\s*(?:;|$)")


@dataclass(frozen=True, slots=True)
class Database:
    """Where to connect and how. `peer` is None for a database that is a file."""

    name: str
    dsn: str = field(repr=False)
    peer: tuple[str, int] | None
    read_only: bool
    lock_timeout: float
    events: Events = SILENT

    def fired(self) -> None:
        """The watchdog has ended something here."""
        self.events.happened("watchdog_fired", self.name)


def database(
    name: str, dsn: str, *, read_only: bool, lock_timeout: float, system: Mapping[str, Any] = NOTHING, events: Events = SILENT
) -> Database:
    """From an ODBC connection string. Raises Misconfigured when it does not tell where a networked driver connects to, or would go there
    without verified TLS."""
    keys = {key.upper(): value.strip("{}") for key, value in _KEY.findall(dsn)}
    if "sqlite" in keys.get("DRIVER", "").lower():
        kept = ";".join(f"{k}={v}" for k, v in _KEY.findall(dsn) if k.upper() not in ("TIMEOUT", "NOCREAT"))
        return Database(name, f"{kept};NoCreat=1;Timeout={_BUSY}", None, read_only, lock_timeout, events)
    host, port = keys.get("SERVER") or keys.get("SERVERNAME", ""), keys.get("PORT", "")
    if not host or not port.isdecimal():
        raise Misconfigured(
            f"{name}: its connection string must name Server and Port, so that a stalled connection can be ended", backend=name
        )
    safe = dialect.verified(keys)
    if safe is None and not clear.is_loopback(host) and not system.get("clear"):
        dsn, safe = f"{dsn.rstrip('; ')};SSLmode=verify-full", True
    if not safe:
        clear.refuse(name, host, system, "have its connection string ask for it (SSLmode=verify-full; Encrypt=yes)")
    return Database(name, dsn, (host, int(port)), read_only, lock_timeout, events)


class Session:
    """A connection and its prepared statements; `line` is our duplicate of its socket. One thread at a time."""

    def __init__(self, where: Database, connection: Any, line: socket.socket | None) -> None:
        self.where, self.opened = where, time.monotonic()
        self.dialect: Dialect = Standard()
        self._connection, self._line = connection, line
        self._prepared: dict[str, tuple[str, Any]] = {}
        self._kinds: dict[str, tuple[str, ...]] = {}
        self._running: Any = None
        self._limit = ""
        self._deadline = 0.0
        self._broken = False

    def begin(self, deadline: float) -> None:
        """Set the session up, once."""
        with self._bounded(deadline):
            self.dialect = dialect.of(self._connection.getinfo(pyodbc.SQL_DBMS_NAME))
            self.user = str(self._connection.getinfo(pyodbc.SQL_USER_NAME) or "")
            self.dialect.begin(self._connection, self._ask, read_only=self.where.read_only, lock_timeout=self.where.lock_timeout)

    def select(self, statement: Statement, values: Sequence[Any], most: int, deadline: float) -> Rows:
        """At most `most` rows of the answer."""
        with self._bounded(deadline):
            return self.dialect.rows(self._execute(self.dialect.select(statement, most), values).fetchmany(most))

    def kinds(self, statement: Statement, values: Sequence[Any], deadline: float) -> tuple[str, ...]:
        """What the database says its columns are: with the answer just read, or asked for once."""
        describe = self.dialect.describe(statement)
        if not describe:
            return reported(self._running.description)
        if describe not in self._kinds:
            with self._bounded(deadline):
                self._kinds[describe] = reported(self._execute(describe, values).description)
        return self._kinds[describe]

    def write(self, statement: Statement, values: Sequence[Any], deadline: float) -> int:
        """One statement in one transaction; how many rows it touched.

        Raises OutcomeUnknown when the commit's answer was not seen; any other error means that nothing has changed.
        The session is not used again after an error: closing it undoes the transaction.
        """
        committing = False
        try:
            with self._bounded(deadline):
                self._connection.autocommit = False
                count = int(self._execute(statement.text, values).rowcount)
            with self._bounded(deadline):
                committing = True
                self._connection.commit()
        except AdapterError as error:
            unseen = committing and error.spoils
            self._broken = error.spoils = True
            if unseen:
                raise OutcomeUnknown("the commit was sent and its confirmation was not seen", backend=self.where.name) from error
            raise
        self._connection.autocommit = True
        return count

    def fit(self, idle: float) -> bool:
        """Whether a kept session may be used: its peer has not hung up, and after a long rest it still answers."""
        return not self._hung_up() and (idle <= _REST or self._line is None or self._answers())

    def _hung_up(self) -> bool:
        """Whether the peer has closed the connection, or said something unasked as servers do before."""
        return self._line is not None and not tcp.quiet(self._line)

    def ping(self, deadline: float) -> None:
        """Return when the server answers."""
        with self._bounded(deadline):
            self._ask("SELECT 1")

    def _answers(self) -> bool:
        try:
            self.ping(time.monotonic() + _PING)
        except AdapterError:
            return False
        return True

    def close(self) -> None:
        """Sign off; bounded, and never raises."""
        if self._broken:
            self._cut()
        with suppress(pyodbc.Error), watchdog.limit(time.monotonic() + _CLOSE, self._cut, told=self.where.fired):
            self._connection.close()
        if self._line is not None:
            self._line.close()

    def _execute(self, sql: str, values: Sequence[Any]) -> Any:
        """Run it on the cursor that has it prepared. Waits for locks here where the driver's own waiting can't be ended."""
        if sql in self._prepared:
            sql, cursor = self._prepared.pop(sql)  # the very same text: pyodbc knows what is prepared by identity
        else:
            cursor = self._connection.cursor()
        self._prepared[sql] = sql, cursor  # the last used is last
        self._running = cursor
        if len(self._prepared) > _PREPARED:
            self._prepared.pop(next(iter(self._prepared)))[1].close()
        until = min(self._deadline, time.monotonic() + self.where.lock_timeout)
        while True:
            try:
                cursor.execute(sql, *values)
            except pyodbc.Error as error:
                if self._line is not None or sqlstate(error) != LOCKED or time.monotonic() >= until:
                    raise
            else:
                return cursor

    def _ask(self, sql: str) -> Rows:
        cursor = self._execute(sql, ())
        return cursor.fetchall() if cursor.description else []

    def _cut(self) -> None:
        """End whatever the driver waits for."""
        if self._line is not None:
            tcp.cut(self._line)
        elif self._running is not None:
            self._running.cancel()

    @contextmanager
    def _bounded(self, deadline: float) -> Iterator[None]:
        """The driver's calls in the block end soon after `deadline`; its errors leave as ours."""
        name, self._deadline = self.where.name, deadline
        if time.monotonic() >= deadline:
            raise DeadlineExceeded(f"{name} did not answer in time", backend=name)
        try:
            with watchdog.limit(deadline, self._cut, insist=self._line is None, told=self.where.fired) as alarm:
                limit = self.dialect.limit(deadline - time.monotonic())
                if limit != self._limit:
                    self._ask(limit)
                    self._limit = limit
                yield
        except pyodbc.Error as error:
            state = sqlstate(error)
            failure = meaning("08S01" if state == "HY000" and self._hung_up() else state, name)
            self._broken = failure.spoils or alarm.fired
            if not alarm.fired:
                raise failure from None
        except (ValueError, SystemError):  # undecodable text, or a driver that trips over what it was sent
            self._broken = True
            raise Misread(f"{name}: the answer can't be decoded", backend=name) from None
        if alarm.fired:
            self._broken = True
            raise DeadlineExceeded(f"{name} did not answer in time", backend=name)


def connect(where: Database, deadline: float) -> Session:
    """A session that is set up. Raises AdapterError."""
    if where.peer is None:
        session = Session(where, _driver(where, deadline), None)
    else:
        session = Session(where, *dial(where.name, where.peer, deadline, lambda: _driver(where, deadline), where.fired))
    try:
        session.begin(deadline)
    except BaseException:
        session.close()
        raise
    return session


def _driver(where: Database, deadline: float) -> Any:
    """The driver's own connect. Its login time-out is a second bound only: libpq takes 1 second for 2, and counts them on a clock of
    whole seconds, so that it may end up to one early."""
    start, seconds = time.monotonic(), max(math.ceil(deadline - time.monotonic()), 2)
    try:
        return pyodbc.connect(where.dsn, autocommit=True, timeout=seconds)
    except pyodbc.Error as error:
        if time.monotonic() - start >= seconds - 1:  # its text alone would tell, and is in the server's language
            raise DeadlineExceeded(f"{where.name} could not be connected to in time", backend=where.name) from None
        raise meaning(sqlstate(error), where.name) from None
