"""Jobs: deferred calls from their acceptance to their reply, published under a lease."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wrapper.problems import NotReady
from wrapper.state.clock import gone
from wrapper.state.database import Row, Transaction
from wrapper.state.records import Job, LeaseLost, WriteId
from wrapper.state.table import Table
from wrapper.state.writes import MINE, mine

NEVER = float("inf")
_JOB = "id, caller, operation, trace, state, step, attempts, created, updated, expect_by, error"
_OPEN = "state IN ('published', 'unknown')"
_DUE = "(state IN ('accepted', 'publishing') OR (state = 'unknown' AND expect_by > ?)) AND next_at <= ?"
_GIVEN_BACK = "lease_until = 0, lease_by = NULL"


class Jobs(Table):
    # -- what the caller sees

    def add_job(self, write: WriteId, id: str, params: Mapping[str, Any], trace: str, expect_within: float) -> Job | None:
        """The job and the settled write that made it, in one transaction: an accepted request is a job, whatever dies next.

        None when there is a job of this id already: nothing is changed then. Raises NotReady when the write is not this one's any more:
        it was thought dead, and somebody else may be making its job.
        """
        sealed = self._seal.close(params, "jobs.params", id)
        with self._db.transaction() as tx:
            wall = tx.wall()
            row = tx.one(
                "INSERT INTO jobs (id, caller, operation, params, trace, state, next_at, created, updated, expect_by, subject)"
                f" VALUES (?, ?, ?, ?, ?, 'accepted', ?, ?, ?, ?, COALESCE((SELECT subject FROM writes WHERE {MINE}), ''))"
                f" ON CONFLICT (id) DO NOTHING RETURNING {_JOB}",
                (id, write.caller, write.operation, sealed, trace, tx.now(), wall, wall, wall + expect_within, *mine(write)),
            )
            made = f"UPDATE writes SET state = 'done', job = ? WHERE {MINE} AND state = 'reserved'"
            if row is not None and not tx.execute(made, (id, *mine(write))).rowcount:
                raise NotReady("this write took too long to begin; send it again")
        return None if row is None else _job(row)

    def job(self, id: str) -> Job | None:
        return next(iter(self._jobs("WHERE id = ?", id)), None)

    def jobs(self, limit: int = 100) -> list[Job]:
        """The newest first."""
        return self._jobs("ORDER BY created DESC LIMIT ?", limit)

    def params(self, id: str) -> dict[str, Any]:
        """What the caller of a job sent; nothing once its time is over."""
        return self._opened("params", id) or {}

    def answer(self, id: str) -> Any:
        """What came back for a job; None before it is replied, and once its time is over."""
        return self._opened("answer", id)

    # -- publishing, under a lease

    def claim(self, worker: str, seconds: float, crashes: int = 3) -> Job | None:
        """The next job to publish, leased to `worker`, as it was before. One that was claimed `crashes` times and never came back is
        parked: as poisoned when nothing of it was begun, else as unknown, which only its reply can settle.

        The lease of a worker that has ended is over at once, where `worker` is a process by its me()."""
        with self._db.transaction(alone="jobs") as tx:
            now, wall = tx.now(), tx.wall()
            due = tx.all(f"SELECT {_JOB}, lease_by, lease_until FROM jobs WHERE {_DUE} ORDER BY created LIMIT 100", (wall, now))
            row = next((r for r in due if r["lease_until"] < now or gone(r["lease_by"] or "")), None)
            if row is None:
                return None
            job = _job(row)
            if job.attempts >= crashes:
                _park(tx, job, crashes)
                return None
            tx.execute(
                "UPDATE jobs SET lease_by = ?, lease_until = ?, attempts = attempts + 1, updated = ? WHERE id = ?",
                (worker, now + seconds, wall, job.id),
            )
        return job

    def step(self, id: str, worker: str, step: str, seconds: float) -> None:
        """Record the step about to be taken and renew the lease. Like all that a publisher says, it raises LeaseLost when the job is not
        that worker's any more."""
        self._held(id, worker, "state = 'publishing', step = ?, lease_until = ?", step, after=seconds)

    def later(self, id: str, worker: str, seconds: float) -> None:
        """Nothing could be done now: give the job back, to be claimed again after `seconds`; this was no crash."""
        self._held(id, worker, f"{_GIVEN_BACK}, attempts = attempts - 1, next_at = ?", after=seconds)

    def unknown(self, id: str, worker: str, error: Mapping[str, Any], seconds: float) -> None:
        """It can't be told now whether the next act has happened: look again after `seconds`, or when the reply comes; no crash."""
        changes = f"state = 'unknown', error = ?, {_GIVEN_BACK}, attempts = attempts - 1, next_at = ?"
        self._held(id, worker, changes, json.dumps(error), after=seconds)

    def published(self, id: str, worker: str) -> None:
        self._held(id, worker, f"state = 'published', error = NULL, {_GIVEN_BACK}")

    def failed(self, id: str, worker: str, error: Mapping[str, Any]) -> None:
        """The back end has nothing of it, and will not have."""
        self._held(id, worker, f"state = 'failed', error = ?, {_GIVEN_BACK}", json.dumps(error))

    # -- their replies

    def waiting(self) -> list[Job]:
        """Jobs whose reply may still come; an unknown one is settled by it."""
        return self._jobs(f"WHERE {_OPEN} ORDER BY created")

    def replied(self, id: str, answer: Any) -> None:
        """The first that is said about a reply stays."""
        self._settle_job(id, "replied", answer=self._seal.close(answer, "jobs.answer", id))

    def unusable(self, id: str, error: Mapping[str, Any]) -> None:
        """The reply came, and it is a refusal or can't be read."""
        self._settle_job(id, "failed", error=json.dumps(error))

    def unarchived(self) -> list[Job]:
        """Answered jobs whose reply still lies at the back end."""
        return self._jobs("WHERE state = 'replied' AND archived = 0")

    def archived(self, id: str) -> None:
        with self._db.transaction() as tx:
            tx.execute("UPDATE jobs SET archived = 1 WHERE id = ?", (id,))

    def _held(self, id: str, worker: str, changes: str, *values: Any, after: float | None = None) -> None:
        """`after` seconds from now is the last of the values."""
        with self._db.transaction() as tx:
            moment = () if after is None else (tx.now() + after,)
            changed = tx.execute(
                f"UPDATE jobs SET {changes}, updated = ? WHERE id = ? AND lease_by = ?", (*values, *moment, tx.wall(), id, worker)
            ).rowcount
        if not changed:
            raise LeaseLost(id)

    def _settle_job(self, id: str, state: str, answer: bytes | None = None, error: str | None = None) -> None:
        with self._db.transaction() as tx:
            tx.execute(
                f"UPDATE jobs SET state = ?, answer = ?, error = ?, {_GIVEN_BACK}, updated = ? WHERE id = ? AND {_OPEN}",
                (state, answer, error, tx.wall(), id),
            )

    def _jobs(self, which: str, *values: Any) -> list[Job]:
        with self._db.reading() as tx:
            return [_job(row) for row in tx.all(f"SELECT {_JOB} FROM jobs {which}", values)]

    def _opened(self, column: str, id: str) -> Any:
        with self._db.reading() as tx:
            row = tx.one(f"SELECT {column} AS sealed FROM jobs WHERE id = ?", (id,))
        return None if row is None or not row["sealed"] else self._seal.open(row["sealed"], f"jobs.{column}", id)


def _park(tx: Transaction, job: Job, crashes: int) -> None:
    detail = f"{crashes} workers did not come to an end with it; the last step is '{job.step or 'none'}'"
    error = json.dumps({"title": "The job was given up", "detail": detail})
    state = "poisoned" if job.untouched else "unknown"
    tx.execute(
        f"UPDATE jobs SET state = ?, error = ?, next_at = ?, {_GIVEN_BACK}, updated = ? WHERE id = ?",
        (state, error, NEVER, tx.wall(), job.id),
    )


def _job(row: Row) -> Job:
    told = {name: row[name] for name in _JOB.split(", ")}
    return Job(**{**told, "error": json.loads(told["error"]) if told["error"] else None})
