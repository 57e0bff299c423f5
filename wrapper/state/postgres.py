"""PostgreSQL as the store of many hosts: a few connections per process, opened after fork, and a bound on everything.

The server is told its time limits (statements, locks, forgotten transactions); a server that has stopped, or a line that swallows its
answers, is cut off by the watchdog instead. A connection is kept only after a transaction that ended well, and no error of the driver is
passed on: its text quotes the URL. Times are the server's own.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from adapters import clear, tcp
from adapters.watchdog import limit
from wrapper.problems import NotReady, Unsure
from wrapper.state.database import BOUND as LONGEST
from wrapper.state.database import BadStore, Result, Transaction, note, noted

SIZE = 4  # connections of a process that its requests share; who works `apart` has one more
BOUND = 2.8  # seconds for all of a transaction, a new connection included
READ = 1.0  # seconds for one that only reads: who asks has a deadline
QUEUE = 1.0  # seconds of these to wait for one of the connections
SHORT = 0.3  # seconds of these while it is known that the server does not answer
SCRUB = 60.0  # seconds for a VACUUM
SCRUBBED = ("writes", "jobs", "samples", "decisions", "legs", "subjects")
OURS = {
    "connect_timeout": "2", "keepalives": "1", "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3",
    "tcp_user_timeout": "5000", "client_encoding": "UTF8",
}  # fmt: skip
SESSION = (
    "-c statement_timeout=2000 -c lock_timeout=1500 -c idle_in_transaction_session_timeout=5000 -c synchronous_commit=on"
    " -c default_transaction_isolation=read\\ committed"
)
_NOW = "SELECT extract(epoch from clock_timestamp())::float8 AS now"
_TYPES = {"REAL": "DOUBLE PRECISION", "INTEGER": "BIGINT", "BLOB": "BYTEA", "STRICT": ""}


class _Line:
    """A connection, and a descriptor of its socket that is ours alone: cutting it never touches another's."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self.connection = connection
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Result:
        return self.connection.execute(_translated(sql), values)

    def now(self) -> float:
        return float(self.execute(_NOW).fetchone()["now"])

    def fit(self) -> bool:
        """Nothing has come from a server that was not asked: it would be a farewell."""
        return tcp.quiet(self._socket)

    def rests(self) -> bool:
        return not self.connection.closed and self.connection.info.transaction_status == TransactionStatus.IDLE

    def cut(self) -> None:
        tcp.cut(self._socket)

    def close(self) -> None:
        self.cut()  # no farewell that could block
        self.connection.close()
        self._socket.close()


class Postgres:
    """See database.Database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        try:
            said = {k: str(v) for k, v in conninfo_to_dict(url).items() if v is not None}
        except psycopg.Error:
            raise BadStore("the state store's URL can't be read; it must be like postgresql://user:password@host:5432/database") from None
        self.where = f"postgresql://{said.get('host', '')}/{said.get('dbname', '')}"
        kept = {"application_name": "figway", "target_session_attrs": "read-write", "gssencmode": "disable", **said}
        if "sslmode" not in said and not all(map(clear.is_loopback, said.get("host", "localhost").split(","))):
            kept["sslmode"] = "verify-full"  # less is for who says so in the URL
        self._settings = {**kept, **OURS, "options": f"{said.get('options', '')} {SESSION}".strip()}
        self._forget()

    def _forget(self) -> None:
        """What was opened before a fork is the parent's."""
        self._owner = os.getpid()
        self._places = threading.BoundedSemaphore(SIZE)
        self._apart: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._idle: list[_Line] = []
        self._stuck = False
        self._trying = threading.Lock()

    @contextmanager
    def transaction(self, alone: str = "", within: float = LONGEST, apart: str = "") -> Iterator[Transaction]:
        """An error leaves the server to undo it when the connection goes."""
        lock = f"SELECT pg_advisory_xact_lock({zlib.crc32(alone.encode())});" if alone else ""
        with self._line(min(BOUND, within), apart) as line:
            cursor = line.connection.execute(f"BEGIN; {lock} {_NOW}")
            while cursor.nextset():
                pass
            [row] = cursor.fetchall()
            now = float(row["now"])
            yield Transaction(line.execute, lambda: now, lambda: now)
            try:
                ended = line.connection.execute("COMMIT").statusmessage
            except psycopg.OperationalError as error:
                raise Unsure(f"the state store did not say what has become of a transaction ({_name(error)})") from error
            if ended != "COMMIT":
                raise NotReady("the state store undid a transaction that had failed")

    @contextmanager
    def reading(self, apart: str = "") -> Iterator[Transaction]:
        with self._line(READ, apart) as line:
            yield Transaction(line.execute, line.now, line.now)

    @contextmanager
    def bulk(self) -> Iterator[Transaction]:
        with _told():
            line = self._open(time.monotonic() + BOUND)
            try:
                line.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
                    line.execute(f"SET LOCAL {setting} = 0")
                yield Transaction(line.execute, line.now, line.now)
                line.execute("COMMIT")
            finally:
                line.close()

    def scrub(self) -> str:
        """Outside of any transaction, as VACUUM wants it."""
        deadline = time.monotonic() + SCRUB
        with _told():
            line = self._open(time.monotonic() + BOUND)
            try:
                with limit(deadline, line.cut):
                    line.execute("SET statement_timeout = 0")
                    line.execute(f"VACUUM {', '.join(SCRUBBED)}")
            finally:
                line.close()
        return "VACUUM has freed the room; the server overwrites it as it needs it, and its log and your archives of it keep theirs"

    @contextmanager
    def _line(self, bound: float, apart: str) -> Iterator[_Line]:
        """A connection for one transaction; it is over by `bound`, whatever the server does."""
        deadline = time.monotonic() + bound
        if self._owner != os.getpid():
            self._forget()
        with self._place(min(QUEUE, bound), apart), _told():
            line = self._kept() or self._open(deadline)
            whole = False
            try:
                with limit(deadline, line.cut) as alarm:
                    yield line
                whole = not alarm.fired and line.rests()
            finally:
                if whole:
                    self._idle.append(line)
                    self._stuck = False
                else:
                    self._stuck |= alarm.fired or line.connection.closed
                    line.close()

    @contextmanager
    def _place(self, seconds: float, apart: str) -> Iterator[None]:
        """One of the connections. A server that was seen to be silent is waited for by one thread at a time: the others hear soon."""
        gate: threading.Lock | threading.Semaphore = self._apart[apart] if apart else self._trying if self._stuck else self._places
        if not gate.acquire(timeout=min(SHORT, seconds) if gate is self._trying else seconds):
            raise NotReady("the state store does not answer" if gate is self._trying else "the state store is busy")
        try:
            yield
        finally:
            gate.release()

    def _kept(self) -> _Line | None:
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return None
            if line.fit():
                return line
            line.close()

    def _open(self, deadline: float) -> _Line:
        """On a thread that may be left behind: neither the name's look-up nor a list of hosts has a bound of its own."""
        made: list[_Line] = []
        failed: list[psycopg.Error] = []
        decided = threading.Lock()
        late = False

        def connect() -> None:
            try:
                line = _Line(psycopg.Connection[dict[str, Any]].connect(autocommit=True, row_factory=dict_row, **self._settings))  # type: ignore[arg-type]
            except psycopg.Error as error:
                failed.append(error)
                return
            with decided:
                if not late:
                    made.append(line)
                    return
            line.close()

        thread = threading.Thread(target=connect, name="figway-state-connect", daemon=True)
        thread.start()
        thread.join(max(deadline - time.monotonic(), 0))
        with decided:
            late = not made
        if made:
            return made[0]
        self._stuck = True
        raise NotReady(f"the state store can't be reached ({_name(failed[0]) if failed else 'no answer'})")

    def create(self, there: bool) -> None:
        """The server's administrator has made the database."""

    def version(self, tx: Transaction) -> int:
        there = tx.one("SELECT to_regclass('figway') IS NOT NULL AS there")
        return int(noted(tx, "version") or 0) if there and there["there"] else 0

    def upgraded(self, tx: Transaction, version: int) -> None:
        note(tx, "version", str(version))

    def dialect(self, statement: str) -> str:
        return re.sub(r"\b(REAL|INTEGER|BLOB|STRICT)\b", lambda word: _TYPES[word[0]], statement)

    def started(self, tx: Transaction) -> None:
        """The server's clock goes on; holders on a host that has died lose what they hold when its time is over."""

    def close(self) -> None:
        idle, self._idle = self._idle, []
        if self._owner == os.getpid():
            for line in idle:
                line.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise NotReady(f"the state store can't be used ({_name(error)})") from error


def _name(error: psycopg.Error) -> str:
    return " ".join(filter(None, (type(error).__name__, error.sqlstate)))


@cache
def _translated(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")
