"""The live side of kind `odbc`: a pool of sessions, one bound statement a call, pages that follow a key.

An answer is whole or an error: more rows than `max_rows`, a repeated or out-of-order key, a value that lost something on its
way are never a short or a changed list.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.base import Call, Events, Files, Leases, Record, Reply
from adapters.blocks import seconds
from adapters.errors import AdapterError, BadLogon, Misconfigured, Misread, matching
from adapters.events import SILENT
from adapters.odbc.session import Database, Session, connect, database
from adapters.odbc.sql import AFTER
from adapters.odbc.target import START, OdbcTarget
from adapters.odbc.values import bound, columns, records
from adapters.pool import Pool

_BARRED = 60.0  # seconds without a logon after a refused one: a credential must not be locked by our trying


def open(name: str, system: Mapping[str, Any], files: Files, leases: Leases, events: Events = SILENT) -> Odbc:
    """From a system's block. Raises Misconfigured; connects to nothing yet."""
    read_only, lock_timeout = system.get("read_only", True), seconds(system.get("lock_timeout", "2s"))
    where = database(name, system["dsn"], read_only=read_only, lock_timeout=lock_timeout, system=system, events=events)
    pool = system.get("pool", {})
    return Odbc(where, pool.get("max", 4), seconds(pool.get("idle", "10m")), seconds(pool.get("recycle", "30m")))


class Odbc:
    """A database behind ODBC. Thread-safe."""

    def __init__(self, where: Database, size: int, idle: float, recycle: float) -> None:
        self.name = where.name
        self._where, self._recycle = where, recycle
        self._barred = self._last_dead = 0.0
        self._pool = Pool(self.name, self._open, Session.close, size=size, idle=idle, fit=self._fit, events=where.events)

    def call(self, call: Call) -> Reply:
        call.left()
        target: OdbcTarget = call.target
        try:
            with self._pool.lease(call.deadline, background=call.background) as session:
                return self._write(session, call, target) if target.statement.writes else self._read(session, call, target)
        except AdapterError as error:
            rule = matching(target.errors, {"sqlstate": error.code})
            if rule is None:
                raise
            raise rule.error(self.name) from error

    def probe(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        with self._pool.lease(deadline) as session:
            session.ping(deadline)

    def close(self) -> None:
        self._pool.close()

    def _open(self, deadline: float) -> Session:
        if time.monotonic() < self._barred:
            raise BadLogon(f"{self.name} refused the credential a moment ago; it is not tried again yet", backend=self.name)
        try:
            return connect(self._where, deadline)
        except BadLogon:
            self._barred = time.monotonic() + _BARRED
            raise

    def _fit(self, session: Session, idle: float) -> bool:
        """Young enough and alive. When one is dead those that rested as long are too: a ping each would outlast the call."""
        now = time.monotonic()
        if now - session.opened >= self._recycle or now - idle <= self._last_dead:
            return False
        alive = session.fit(idle)
        if not alive:
            self._last_dead = now - idle
        return alive

    def _read(self, session: Session, call: Call, target: OdbcTarget) -> Reply:
        """All rows of the answer, page by page."""
        if target.page_by is None:
            rows = self._page(session, call, target, call.params, target.max_rows + 1)
            self._whole(rows, target)
            return Reply(tuple(rows), self.name, by=session.user)
        key, found = target.statement.names[target.page_by], list[Record]()
        after, seen = START[target.kinds[target.page_by] or "text"], set[Any]()
        pages = 0
        while True:
            pages += 1
            page = self._page(session, call, target, {**call.params, AFTER: after}, target.page_size)
            for record in page:
                self._follows(record[key], after, seen)
                after = record[key]
                seen.add(after)
            found += page
            self._whole(found, target)
            if len(page) < target.page_size:
                return Reply(tuple(found), self.name, pages=pages, by=session.user)

    def _page(self, session: Session, call: Call, target: OdbcTarget, params: Mapping[str, Any], most: int) -> list[Record]:
        statement, stated = target.statement, target.kinds
        values = [bound(name, params.get(name), self.name) for name in statement.params]
        rows = session.select(statement, values, most, call.deadline)
        met = stated if None not in stated else session.kinds(statement, values, call.deadline)
        if len(met) != len(stated):
            raise Misread(f"{self.name}: {len(stated)} columns are named and {len(met)} came", backend=self.name)
        return records(rows, columns(statement.names, stated, met), session.dialect.digits, self.name)

    def _follows(self, key: Any, after: Any, seen: set[Any]) -> None:
        """Keys rise. Texts sort differently in each database, so that of them only repetition is certain, and digits of one length."""
        ordered = isinstance(key, int) or (isinstance(after, str) and len(key or "") == len(after) and (key + after).isdecimal())
        if key is None or key in seen or (ordered and key <= after):
            raise Misread(f"{self.name}: the key of a page is empty, repeated or out of order", backend=self.name)

    def _whole(self, found: Sequence[Record], target: OdbcTarget) -> None:
        if len(found) > target.max_rows:
            raise Misread(f"{self.name}: more than {target.max_rows} rows; a truncated answer is refused", backend=self.name)

    def _write(self, session: Session, call: Call, target: OdbcTarget) -> Reply:
        if call.effect == "read":
            raise Misconfigured(f"{call.operation} is a read, and its statement writes", backend=self.name)
        values = [bound(name, call.params.get(name), self.name) for name in target.statement.params]
        return Reply(({"rows": session.write(target.statement, values, call.deadline)},), self.name, by=session.user)
