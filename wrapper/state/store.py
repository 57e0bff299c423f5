"""The one durable store: keys, idempotent writes and jobs. Six questions about writes, ten about jobs, no policy.

Times are seconds since the epoch by the store's own clock, so that leases of several processes agree. What callers sent and got is sealed.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wrapper.policy.keys import Caller, KeyRow
from wrapper.state.database import Database, open_database
from wrapper.state.seal import Seal, seal_beside

WriteState = Literal["new", "in_flight", "mismatch", "done", "unknown"]
JobState = Literal["accepted", "publishing", "published", "replied", "failed", "unknown", "poisoned"]
OPEN_JOBS = ("published", "unknown")


@dataclass(frozen=True, slots=True)
class WriteId:
    """An idempotency key in its scope: one caller's, for one operation."""

    caller: str
    operation: str
    key: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """What the store knows of a write before it begins: `new` is ours to do; `answer` and `job` are of an earlier one."""

    state: WriteState
    answer: Any = None
    job: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A deferred call. `error` is a problem body when the state is failed, unknown or poisoned."""

    id: str
    caller: str
    operation: str
    params: Mapping[str, Any]
    trace: str
    state: JobState
    step: str
    attempts: int
    created: float
    updated: float
    expect_by: float
    answer: Any
    error: Mapping[str, Any] | None


class LeaseLost(Exception):
    """Another worker has taken the job over: stop touching it."""


class Store:
    """Thread-safe, and safe among processes on one host."""

    def __init__(self, url: str) -> None:
        self._db: Database = open_database(url)
        self._seal: Seal = seal_beside(self._db.path)
        self.folder = self._db.path.parent

    def close(self) -> None:
        self._db.close()

    def ping(self) -> None:
        """Raises NotReady when nothing can be promised now."""
        with self._db.transaction() as db:
            db.execute("SELECT 1")

    # -- keys

    def put_key(self, row: KeyRow) -> None:
        c = row.caller
        claims = {name: sorted(values) for name, values in c.claims.items()}
        with self._db.transaction() as db:
            db.execute(
                "INSERT INTO keys (id, digest, name, scopes, purposes, claims, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row.id, row.digest, c.name, " ".join(sorted(c.scopes)), " ".join(sorted(c.purposes)), json.dumps(claims), time.time()),
            )

    def key(self, id: str) -> KeyRow | None:
        with self._db.reading() as db:
            row = db.execute("SELECT * FROM keys WHERE id = ?", (id,)).fetchone()
        return None if row is None else _key(row)

    def all_keys(self) -> list[KeyRow]:
        with self._db.reading() as db:
            return [_key(row) for row in db.execute("SELECT * FROM keys ORDER BY created")]

    def revoke(self, name: str) -> int:
        """How many keys of that name are revoked now that were not."""
        with self._db.transaction() as db:
            return db.execute("UPDATE keys SET revoked = 1 WHERE name = ? AND revoked = 0", (name,)).rowcount

    # -- writes

    def reserve(self, write: WriteId, request: Any, seconds: float) -> Reservation:
        """Take the write, or say why not. A reservation that outlived `seconds` belonged to a process that died: its outcome is unknown."""
        fingerprint, now = self._seal.fingerprint(request), time.time()
        with self._db.transaction() as db:
            row = _write(db, write)
            if row is None:
                db.execute(
                    "INSERT INTO writes (caller, operation, key, fingerprint, state, until, created) VALUES (?, ?, ?, ?, 'reserved', ?, ?)",
                    (write.caller, write.operation, write.key, fingerprint, now + seconds, now),
                )
                return Reservation("new")
        if row["fingerprint"] != fingerprint:
            return Reservation("mismatch")
        if row["state"] == "done":
            return Reservation("done", self._seal.open(row["answer"]) if row["answer"] else None, row["job"])
        return Reservation("unknown" if row["state"] == "unknown" or row["until"] < now else "in_flight")

    def settle(self, write: WriteId, answer: Any) -> None:
        """The write happened and this is its answer."""
        self._set_write(write, "done", self._seal.close(answer))

    def settle_unknown(self, write: WriteId) -> None:
        """The write was sent and nobody knows: it will never be done again under this key."""
        self._set_write(write, "unknown", None)

    def release(self, write: WriteId) -> None:
        """Nothing happened: the caller may try again under the same key."""
        with self._db.transaction() as db:
            db.execute("DELETE FROM writes WHERE (caller, operation, key) = (?, ?, ?)", (write.caller, write.operation, write.key))

    def _set_write(self, write: WriteId, state: str, answer: bytes | None) -> None:
        with self._db.transaction() as db:
            db.execute(
                "UPDATE writes SET state = ?, answer = ? WHERE (caller, operation, key) = (?, ?, ?)",
                (state, answer, write.caller, write.operation, write.key),
            )

    # -- jobs

    def add_job(self, write: WriteId, id: str, params: Mapping[str, Any], trace: str, expect_within: float) -> None:
        """The job and the settled write that made it, in one transaction: an accepted request is a job, whatever dies next."""
        now = time.time()
        with self._db.transaction() as db:
            db.execute(
                "INSERT INTO jobs (id, caller, operation, params, trace, state, next_at, created, updated, expect_by)"
                " VALUES (?, ?, ?, ?, ?, 'accepted', ?, ?, ?, ?)",
                (id, write.caller, write.operation, self._seal.close(params), trace, now, now, now, now + expect_within),
            )
            db.execute(
                "UPDATE writes SET state = 'done', job = ? WHERE (caller, operation, key) = (?, ?, ?)",
                (id, write.caller, write.operation, write.key),
            )

    def job(self, id: str) -> Job | None:
        with self._db.reading() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
        return None if row is None else self._job(row)

    def jobs(self, limit: int = 100) -> list[Job]:
        """The newest first."""
        with self._db.reading() as db:
            rows = db.execute("SELECT * FROM jobs ORDER BY created DESC LIMIT ?", (limit,)).fetchall()
        return [self._job(row) for row in rows]

    def claim(self, worker: str, seconds: float, crashes: int = 3) -> Job | None:
        """The next job to publish, leased to `worker`. One that was claimed `crashes` times and never came back is parked as poisoned."""
        now = time.time()
        with self._db.transaction() as db:
            row = db.execute(
                "SELECT * FROM jobs WHERE (state IN ('accepted', 'publishing') OR (state = 'unknown' AND expect_by > ?))"
                " AND next_at <= ? AND lease_until < ? ORDER BY created LIMIT 1",
                (now, now, now),
            ).fetchone()
            if row is None:
                return None
            if row["attempts"] >= crashes:
                error = {
                    "title": "The job was given up",
                    "detail": f"its worker died {crashes} times; the last step is '{row['step'] or 'none'}'",
                }
                self._set_job(db, row["id"], "poisoned", error=error)
                return None
            db.execute(
                "UPDATE jobs SET lease_by = ?, lease_until = ?, attempts = attempts + 1, updated = ? WHERE id = ?",
                (worker, now + seconds, now, row["id"]),
            )
        return self._job(row)

    def step(self, id: str, worker: str, step: str, seconds: float) -> None:
        """Record the step about to be taken and renew the lease. Raises LeaseLost when it is not ours any more."""
        with self._db.transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET state = 'publishing', step = ?, lease_until = ?, updated = ? WHERE id = ? AND lease_by = ?",
                (step, time.time() + seconds, time.time(), id, worker),
            ).rowcount
        if not changed:
            raise LeaseLost(id)

    def later(self, id: str, worker: str, seconds: float) -> None:
        """Nothing could be done now: give the job back, to be claimed again after `seconds`; this was no crash."""
        with self._db.transaction() as db:
            db.execute(
                "UPDATE jobs SET lease_until = 0, lease_by = NULL, attempts = attempts - 1, next_at = ?, updated = ?"
                " WHERE id = ? AND lease_by = ?",
                (time.time() + seconds, time.time(), id, worker),
            )

    def unknown(self, id: str, worker: str, error: Mapping[str, Any], seconds: float) -> None:
        """It can't be told now whether the next act has happened: look again after `seconds`, or when the reply comes; no crash."""
        now = time.time()
        with self._db.transaction() as db:
            db.execute(
                "UPDATE jobs SET state = 'unknown', error = ?, lease_until = 0, lease_by = NULL, attempts = attempts - 1, next_at = ?,"
                " updated = ? WHERE id = ? AND lease_by = ?",
                (json.dumps(error), now + seconds, now, id, worker),
            )

    def published(self, id: str) -> None:
        with self._db.transaction() as db:
            self._set_job(db, id, "published")

    def failed(self, id: str, state: JobState, error: Mapping[str, Any]) -> None:
        """`failed` (nothing happened, or the reply is unusable) or `poisoned`."""
        with self._db.transaction() as db:
            self._set_job(db, id, state, error=error)

    def replied(self, id: str, answer: Any) -> None:
        with self._db.transaction() as db:
            self._set_job(db, id, "replied", answer=self._seal.close(answer))

    def waiting(self) -> list[Job]:
        """Jobs whose reply may still come; an unknown one is settled by it."""
        with self._db.reading() as db:
            rows = db.execute("SELECT * FROM jobs WHERE state IN (?, ?) ORDER BY created", OPEN_JOBS).fetchall()
        return [self._job(row) for row in rows]

    def unarchived(self) -> list[Job]:
        """Answered jobs whose reply still lies at the back end."""
        with self._db.reading() as db:
            rows = db.execute("SELECT * FROM jobs WHERE state = 'replied' AND archived = 0").fetchall()
        return [self._job(row) for row in rows]

    def archived(self, id: str) -> None:
        with self._db.transaction() as db:
            db.execute("UPDATE jobs SET archived = 1 WHERE id = ?", (id,))

    def _set_job(self, db: sqlite3.Connection, id: str, state: JobState, *, answer: bytes | None = None, error: Any = None) -> None:
        db.execute(
            "UPDATE jobs SET state = ?, answer = ?, error = ?, lease_until = 0, lease_by = NULL, updated = ? WHERE id = ?",
            (state, answer, None if error is None else json.dumps(error), time.time(), id),
        )

    def _job(self, row: sqlite3.Row) -> Job:
        return Job(
            params=self._seal.open(row["params"]),
            answer=self._seal.open(row["answer"]) if row["answer"] else None,
            error=json.loads(row["error"]) if row["error"] else None,
            **{
                name: row[name]
                for name in ("id", "caller", "operation", "trace", "state", "step", "attempts", "created", "updated", "expect_by")
            },
        )


def _key(row: sqlite3.Row) -> KeyRow:
    claims = {name: frozenset(values) for name, values in json.loads(row["claims"]).items()}
    caller = Caller(row["name"], frozenset(row["scopes"].split()), frozenset(row["purposes"].split()), claims)
    return KeyRow(row["id"], row["digest"], caller, bool(row["revoked"]))


def _write(db: sqlite3.Connection, write: WriteId) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM writes WHERE (caller, operation, key) = (?, ?, ?)", (write.caller, write.operation, write.key)
    ).fetchone()
    return row
