"""The one durable store: keys, idempotent writes and jobs. It answers questions and keeps records; policy is elsewhere.

Times are seconds since the epoch by the store's own clock, so that leases of several processes agree. What callers sent and got is sealed.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from wrapper.policy.keys import Caller, KeyRow
from wrapper.state.database import BadStore, Database, open_database
from wrapper.state.records import Job, LeaseLost, Reservation, WriteId
from wrapper.state.seal import Seal, make_key, seal_beside

NEVER = float("inf")
_JOB = "id, caller, operation, trace, state, step, attempts, created, updated, expect_by, error"
_OPEN = "state IN ('published', 'unknown')"
_GIVEN_BACK = "lease_until = 0, lease_by = NULL"
_SEALED = "SELECT params FROM jobs UNION ALL SELECT answer FROM writes WHERE answer IS NOT NULL LIMIT 1"


class Store:
    """Thread-safe, and safe among processes on one host. Raises BadStore for a store or a key that can't be used."""

    def __init__(self, url: str) -> None:
        self._db: Database = open_database(url, make_key)
        self._seal: Seal = seal_beside(self._db.path)
        self.folder = self._db.path.parent
        self._check_key()

    def _check_key(self) -> None:
        with self._db.reading() as db:
            row = db.execute(_SEALED).fetchone()
        try:
            if row is not None:
                self._seal.open(row[0])
        except ValueError as error:
            self.close()
            raise BadStore(f"{self._db.path}: {error}: restore the store and its .key from one backup") from None

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
        """Nothing happened: the caller may try again under the same key. A write that is settled, or has its job, stays."""
        with self._db.transaction() as db:
            db.execute(
                "DELETE FROM writes WHERE (caller, operation, key) = (?, ?, ?) AND state = 'reserved'",
                (write.caller, write.operation, write.key),
            )

    def _set_write(self, write: WriteId, state: str, answer: bytes | None) -> None:
        with self._db.transaction() as db:
            db.execute(
                "UPDATE writes SET state = ?, answer = ? WHERE (caller, operation, key) = (?, ?, ?)",
                (state, answer, write.caller, write.operation, write.key),
            )

    # -- jobs: what the caller sees

    def add_job(self, write: WriteId, id: str, params: Mapping[str, Any], trace: str, expect_within: float) -> Job | None:
        """The job and the settled write that made it, in one transaction: an accepted request is a job, whatever dies next.

        None when there is a job of this id already: nothing is changed then.
        """
        now, sealed = time.time(), self._seal.close(params)
        with self._db.transaction() as db:
            row = db.execute(
                "INSERT INTO jobs (id, caller, operation, params, trace, state, next_at, created, updated, expect_by)"
                f" VALUES (?, ?, ?, ?, ?, 'accepted', ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING {_JOB}",
                (id, write.caller, write.operation, sealed, trace, now, now, now, now + expect_within),
            ).fetchone()
            if row is not None:
                db.execute(
                    "UPDATE writes SET state = 'done', job = ? WHERE (caller, operation, key) = (?, ?, ?)",
                    (id, write.caller, write.operation, write.key),
                )
        return None if row is None else _job(row)

    def job(self, id: str) -> Job | None:
        return next(iter(self._jobs("WHERE id = ?", id)), None)

    def jobs(self, limit: int = 100) -> list[Job]:
        """The newest first."""
        return self._jobs("ORDER BY created DESC LIMIT ?", limit)

    def params(self, id: str) -> dict[str, Any]:
        """What the caller of a job sent."""
        params: dict[str, Any] = self._opened("params", id)
        return params

    def answer(self, id: str) -> Any:
        """What came back for a job, None before it is replied."""
        return self._opened("answer", id)

    # -- jobs: publishing, under a lease

    def claim(self, worker: str, seconds: float, crashes: int = 3) -> Job | None:
        """The next job to publish, leased to `worker`, as it was before. One that was claimed `crashes` times and never came back is
        parked: as poisoned when nothing of it was begun, else as unknown, which only its reply can settle."""
        now = time.time()
        with self._db.transaction() as db:
            row = db.execute(
                f"SELECT {_JOB} FROM jobs WHERE (state IN ('accepted', 'publishing') OR (state = 'unknown' AND expect_by > ?))"
                " AND next_at <= ? AND lease_until < ? ORDER BY created LIMIT 1",
                (now, now, now),
            ).fetchone()
            if row is None:
                return None
            job = _job(row)
            if job.attempts >= crashes:
                detail = f"{crashes} workers did not come to an end with it; the last step is '{job.step or 'none'}'"
                db.execute(
                    "UPDATE jobs SET state = ?, error = ?, next_at = ?, lease_until = 0, lease_by = NULL, updated = ? WHERE id = ?",
                    (
                        "poisoned" if job.untouched else "unknown",
                        json.dumps({"title": "The job was given up", "detail": detail}),
                        NEVER,
                        now,
                        job.id,
                    ),
                )
                return None
            db.execute(
                "UPDATE jobs SET lease_by = ?, lease_until = ?, attempts = attempts + 1, updated = ? WHERE id = ?",
                (worker, now + seconds, now, job.id),
            )
        return job

    def step(self, id: str, worker: str, step: str, seconds: float) -> None:
        """Record the step about to be taken and renew the lease. Like all that a publisher says, it raises LeaseLost when the job is not
        that worker's any more."""
        self._held(id, worker, "state = 'publishing', step = ?, lease_until = ?", step, time.time() + seconds)

    def later(self, id: str, worker: str, seconds: float) -> None:
        """Nothing could be done now: give the job back, to be claimed again after `seconds`; this was no crash."""
        self._held(id, worker, f"{_GIVEN_BACK}, attempts = attempts - 1, next_at = ?", time.time() + seconds)

    def unknown(self, id: str, worker: str, error: Mapping[str, Any], seconds: float) -> None:
        """It can't be told now whether the next act has happened: look again after `seconds`, or when the reply comes; no crash."""
        changes = f"state = 'unknown', error = ?, {_GIVEN_BACK}, attempts = attempts - 1, next_at = ?"
        self._held(id, worker, changes, json.dumps(error), time.time() + seconds)

    def published(self, id: str, worker: str) -> None:
        self._held(id, worker, f"state = 'published', error = NULL, {_GIVEN_BACK}")

    def failed(self, id: str, worker: str, error: Mapping[str, Any]) -> None:
        """The back end has nothing of it, and will not have."""
        self._held(id, worker, f"state = 'failed', error = ?, {_GIVEN_BACK}", json.dumps(error))

    # -- jobs: their replies

    def waiting(self) -> list[Job]:
        """Jobs whose reply may still come; an unknown one is settled by it."""
        return self._jobs(f"WHERE {_OPEN} ORDER BY created")

    def replied(self, id: str, answer: Any) -> None:
        """The first that is said about a reply stays."""
        self._settle_job(id, "replied", answer=self._seal.close(answer))

    def unusable(self, id: str, error: Mapping[str, Any]) -> None:
        """The reply came, and it is a refusal or can't be read."""
        self._settle_job(id, "failed", error=json.dumps(error))

    def unarchived(self) -> list[Job]:
        """Answered jobs whose reply still lies at the back end."""
        return self._jobs("WHERE state = 'replied' AND archived = 0")

    def archived(self, id: str) -> None:
        with self._db.transaction() as db:
            db.execute("UPDATE jobs SET archived = 1 WHERE id = ?", (id,))

    def _held(self, id: str, worker: str, changes: str, *values: Any) -> None:
        with self._db.transaction() as db:
            changed = db.execute(
                f"UPDATE jobs SET {changes}, updated = ? WHERE id = ? AND lease_by = ?", (*values, time.time(), id, worker)
            ).rowcount
        if not changed:
            raise LeaseLost(id)

    def _settle_job(self, id: str, state: str, answer: bytes | None = None, error: str | None = None) -> None:
        with self._db.transaction() as db:
            db.execute(
                f"UPDATE jobs SET state = ?, answer = ?, error = ?, {_GIVEN_BACK}, updated = ? WHERE id = ? AND {_OPEN}",
                (state, answer, error, time.time(), id),
            )

    def _jobs(self, which: str, *values: Any) -> list[Job]:
        with self._db.reading() as db:
            return [_job(row) for row in db.execute(f"SELECT {_JOB} FROM jobs {which}", values)]

    def _opened(self, column: str, id: str) -> Any:
        with self._db.reading() as db:
            row = db.execute(f"SELECT {column} FROM jobs WHERE id = ?", (id,)).fetchone()
        return None if row is None or row[0] is None else self._seal.open(row[0])


def _job(row: sqlite3.Row) -> Job:
    return Job(**{**dict(row), "error": json.loads(row["error"]) if row["error"] else None})


def _key(row: sqlite3.Row) -> KeyRow:
    claims = {name: frozenset(values) for name, values in json.loads(row["claims"]).items()}
    caller = Caller(row["name"], frozenset(row["scopes"].split()), frozenset(row["purposes"].split()), claims)
    return KeyRow(row["id"], row["digest"], caller, bool(row["revoked"]))


def _write(db: sqlite3.Connection, write: WriteId) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM writes WHERE (caller, operation, key) = (?, ?, ?)", (write.caller, write.operation, write.key)
    ).fetchone()
    return row
