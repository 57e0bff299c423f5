"""What the store keeps of people: found by their fingerprint, erased, or dropped when its time is over, unless it is held for a reason.

A write's record outlives its answer: what is left is a shell that holds no value, so that the same key never writes again. Of one person
all is erased or nothing is begun; what comes in portions can be begun again. Nothing here decides whether it may be done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wrapper.problems import NotPossible
from wrapper.state import marks
from wrapper.state.database import Row, Transaction
from wrapper.state.generations import count_up
from wrapper.state.legs import OPEN
from wrapper.state.records import WriteId
from wrapper.state.subjects import mark
from wrapper.state.table import Table
from wrapper.state.writes import bound
from wrapper.subjects import Subject
from wrapper.units import iso

ERASURES = "erasures"
"""The generation number that counts erasures: whoever remembers anything forgets it when this changes."""
PORTION = 500  # rows of one transaction
MOST = 10_000  # rows of a table that a report shows
MARK = re.compile("[0-9a-f]{32}", re.ASCII)
_FINAL = "('replied', 'failed', 'poisoned')"
_OVERDUE = "(state IN ('published', 'unknown') AND expect_by < ?)"
_FREE = "NOT EXISTS (SELECT 1 FROM holds h WHERE subject LIKE '%' || h.fingerprint || '%')"
_OLD: Mapping[str, tuple[str, str, str, str]] = {
    "answers": (
        "writes", "caller, operation, key", "answer IS NOT NULL AND state = 'done' AND created < ?", "UPDATE writes SET answer = NULL",
    ),
    "jobs": (
        "jobs", "id", f"(answer IS NOT NULL OR length(params) > 0) AND state IN {_FINAL} AND updated < ?",
        "UPDATE jobs SET params = substr(params, 1, 0), answer = NULL, trace = ''",
    ),
    "samples": ("samples", "epoch, class, number", "at < ?", "DELETE FROM samples"),
    "decisions": ("decisions", "id", "created < ? AND review <> 'open'", "DELETE FROM decisions"),
}  # fmt: skip
"""By class of retention: the table, its key, which rows are past their time, and what becomes of them."""
CLASSES = tuple(_OLD)
_ERASE: Mapping[str, str] = {
    "legs": f"DELETE FROM legs WHERE id = ? AND state NOT IN {OPEN}",
    "writes": "UPDATE writes SET answer = NULL, intent = NULL, fingerprint = '', subject = '', owner = ''"
    " WHERE (caller, operation, key) = (?, ?, ?) AND state <> 'reserved'",
    "jobs": "UPDATE jobs SET params = substr(params, 1, 0), answer = NULL, trace = '',"
    f" subject = CASE WHEN state IN {_FINAL} THEN '' ELSE subject END WHERE id = ?",
    "samples": "DELETE FROM samples WHERE (epoch, class, number) = (?, ?, ?)",
    "decisions": "DELETE FROM decisions WHERE id = ? AND review <> 'open'",
}
"""One row each. A job that still waits for its reply can be found again."""
_SUBJECTS = ("writes", "jobs", "samples", "decisions")
_ITS = "(w.caller, w.operation, w.key) = (l.caller, l.operation, l.key)"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why all of a person must be kept for now."""

    fingerprint: str
    who: str
    why: str = field(repr=False)
    at: float


class Kept(Table):
    # -- legal hold

    def hold(self, found: str, who: str, why: str) -> None:
        """Neither erased nor dropped until it is released; in place of an earlier hold."""
        sealed = self._seal.close(why, "holds.why", found)
        with self._db.transaction(alone="subjects") as tx:
            tx.execute(
                "INSERT INTO holds (fingerprint, who, why, at) VALUES (?, ?, ?, ?) ON CONFLICT (fingerprint)"
                " DO UPDATE SET who = excluded.who, why = excluded.why, at = excluded.at",
                (found, who, sealed, tx.wall()),
            )

    def release_hold(self, found: str) -> bool:
        """Whether there was one."""
        with self._db.transaction(alone="subjects") as tx:
            return bool(tx.execute("DELETE FROM holds WHERE fingerprint = ?", (found,)).rowcount)

    def held(self, found: str) -> Hold | None:
        with self._db.reading() as tx:
            row = tx.one("SELECT * FROM holds WHERE fingerprint = ?", (found,))
        return None if row is None else Hold(found, row["who"], self._seal.open(row["why"], "holds.why", found), row["at"])

    # -- by time

    def due(self, kind: str, before: float, limit: int = PORTION) -> int:
        """How many rows of a class are from before that time (of the day), and not held; `limit` at most."""
        with self._db.reading() as tx:
            row = tx.one(f"SELECT COUNT(*) AS many FROM ({_which(kind)}) AS old", (before, limit))
        return int(row["many"]) if row is not None else 0

    def drop(self, kind: str, before: float, limit: int = PORTION) -> int:
        """Drop as many of them in one transaction; how many that were."""
        _, key, _, change = _OLD[kind]
        with self._db.transaction() as tx:
            return tx.execute(f"{change} WHERE ({key}) IN ({_which(kind)})", (before, limit)).rowcount

    # -- of one person

    def kept_of(self, found: str) -> dict[str, Any]:
        """Everything that is kept of them, opened, the newest first; MOST of each kind."""
        like = (f"%{found}%", MOST)
        with self._db.bulk() as tx:
            writes = tx.all("SELECT * FROM writes WHERE subject LIKE ? ORDER BY created DESC LIMIT ?", like)
            jobs = tx.all("SELECT * FROM jobs WHERE subject LIKE ? ORDER BY created DESC LIMIT ?", like)
            samples = tx.all(
                "SELECT s.*, e.endpoint FROM samples s JOIN epochs e ON e.id = s.epoch WHERE s.subject LIKE ? ORDER BY at DESC LIMIT ?",
                like,
            )
            decisions = tx.all("SELECT * FROM decisions WHERE subject LIKE ? ORDER BY created DESC LIMIT ?", like)
            legs = [leg for write in writes for leg in _legs_of(tx, write)]
            keys = self._claiming(tx, found)
        return {
            "writes": [self._shown_write(row) for row in writes],
            "jobs": [self._shown_job(row) for row in jobs],
            "samples": [
                {"endpoint": row["endpoint"], "at": iso(row["at"]), "kind": row["class"], "shown": self._sample(row)} for row in samples
            ],
            "decisions": [self._shown_decision(row) for row in decisions],
            "legs": [
                {"operation": row["operation"], "lacking": row["side"], "state": row["state"], "created": iso(row["created"]),
                 "sent": self._seal.open(row["given"], "legs.given", row["id"]) if row["given"] else None} for row in legs
            ],
            "callers": [{"kind": table, "name": row["name"], "tenant": row["tenant"]} for table, row, _ in keys],
        }  # fmt: skip

    def erase_of(self, found: str) -> dict[str, int]:
        """Erase all that is kept of them; how many of each kind that were. Their keys go, so that nothing kept for good names them, and
        whoever remembers anything is told to forget it. Raises NotPossible with the reasons; then nothing was done."""
        with self._db.bulk() as tx:
            like = (f"%{found}%",)
            writes = tx.all("SELECT * FROM writes WHERE subject LIKE ?", like)
            jobs = tx.all("SELECT id FROM jobs WHERE subject LIKE ?", like)
            samples = tx.all("SELECT epoch, class, number FROM samples WHERE subject LIKE ?", like)
            decisions = tx.all("SELECT id FROM decisions WHERE subject LIKE ?", like)
            legs = [leg for write in writes for leg in _legs_of(tx, write)]
            keys = self._claiming(tx, found)
        self._refuse(found, [row["id"] for row in jobs])
        done = {"writes": 0, "jobs": 0, "samples": 0, "decisions": 0, "legs": 0, "claims": 0, "keys": 0}
        for kind, rows in (
            ("legs", [(row["id"],) for row in legs]), ("writes", [_key(row) for row in writes]), ("jobs", [(row["id"],) for row in jobs]),
            ("samples", [tuple(dict(row).values()) for row in samples]), ("decisions", [(row["id"],) for row in decisions]),
            ("claims", keys),
        ):  # fmt: skip
            for at in range(0, len(rows), PORTION):
                with self._db.transaction(alone="subjects") as tx:
                    _refuse_held(tx, found)
                    for row in rows[at : at + PORTION]:
                        done[kind] += self._forget_claim(tx, found, *row) if kind == "claims" else tx.execute(_ERASE[kind], row).rowcount
        with self._db.transaction(alone="subjects") as tx:
            _refuse_held(tx, found)
            done["keys"] = tx.execute("DELETE FROM subjects WHERE fingerprint = ?", (found,)).rowcount
            count_up(tx, ERASURES)
        return done

    def overwrite_deleted(self) -> str:
        """Have what was deleted leave the database's files as far as the engine can; what is left to say of that, or nothing."""
        return self._db.scrub()

    def _refuse(self, found: str, jobs: Sequence[str]) -> None:
        """What is under way can't be erased: what becomes of it could not be told."""
        with self._db.reading() as tx:
            _refuse_held(tx, found)
            reasons = [
                f"a write of {row['operation']} by {row['caller']} is under way, or its outcome is being found out"
                for row in tx.all(
                    "SELECT operation, caller FROM writes WHERE subject LIKE ? AND (state = 'reserved' OR intent IS NOT NULL)",
                    (f"%{found}%",),
                )
            ]
            for id in jobs:
                row = tx.one(f"SELECT state FROM jobs WHERE id = ? AND state NOT IN {_FINAL} AND NOT {_OVERDUE}", (id, tx.wall()))
                reasons += [f"job {id} is {row['state']}: its reply has not come"] if row is not None else []
            legs = tx.all(
                f"SELECT l.id, l.side, l.state FROM legs l JOIN writes w ON {_ITS} WHERE w.subject LIKE ? AND l.state IN {OPEN}",
                (f"%{found}%",),
            )
            open = tx.all("SELECT id FROM decisions WHERE subject LIKE ? AND review = 'open'", (f"%{found}%",))
            reasons += [f"decision {row['id']} is under review" for row in open]
            reasons += [f"{table} of theirs are also of somebody under a legal hold" for table in _SUBJECTS if _shared(tx, table, found)]
            reasons += [f"{row['side']} lacks a write ({row['state']}; reconcile {row['id']})" for row in legs]
        if reasons:
            raise NotPossible("nothing was erased", reasons)

    def _claiming(self, tx: Transaction, found: str) -> list[tuple[str, Row, str]]:
        """Keys, clients and people whose claims name them, and which claim that is."""
        met = []
        for table, columns in (("keys", "*"), ("clients", "*, name AS id"), ("people", "*, name AS id")):
            for row in tx.all(f"SELECT {columns} FROM {table}"):
                try:
                    claims = self._open_claims(row["claims"], table, row["id"])
                except ValueError:  # somebody else has written it: it opens nothing, and names nobody
                    continue
                met += [
                    (table, row, claim) for claim, values in claims.items()
                    if any(mark(self._seal, Subject(claim, value, row["tenant"])) == found for value in values)
                ]  # fmt: skip
        return met

    def _forget_claim(self, tx: Transaction, found: str, table: str, row: Row, claim: str) -> int:
        claims = self._open_claims(row["claims"], table, row["id"])
        left = frozenset(value for value in claims[claim] if mark(self._seal, Subject(claim, value, row["tenant"])) != found)
        kept = {**claims, claim: left} if left else {name: values for name, values in claims.items() if name != claim}
        closed = self._closed_claims(kept, table, row["id"])
        if marks.genuine(self._seal, table, row):
            return marks.change(self._seal, tx, table, row, claims=closed)
        values = (closed, row["id"], row["claims"])
        return tx.execute(f"UPDATE {table} SET claims = ? WHERE {'id' if table == 'keys' else 'name'} = ? AND claims = ?", values).rowcount

    def _shown_write(self, row: Row) -> dict[str, Any]:
        id = WriteId(row["caller"], row["operation"], row["key"])
        opened = {name: self._seal.open(row[name], *bound(name, id)) if row[name] else None for name in ("answer", "intent")}
        about = {"operation": row["operation"], "caller": row["caller"], "key": row["key"], "state": row["state"]}
        return {**about, "created": iso(row["created"]), **opened}

    def _shown_job(self, row: Row) -> dict[str, Any]:
        opened = {name: self._seal.open(row[name], f"jobs.{name}", row["id"]) if row[name] else None for name in ("params", "answer")}
        about = {"id": row["id"], "operation": row["operation"], "caller": row["caller"], "state": row["state"]}
        return {**about, "created": iso(row["created"]), "updated": iso(row["updated"]), **opened}

    def _shown_decision(self, row: Row) -> dict[str, Any]:
        names = {"made": "sealed", "words": "words", "why": "why"}
        opened = {as_: self._seal.open(row[name], f"decisions.{name}", row["id"]) if row[name] else None for as_, name in names.items()}
        about = {name: row[name] for name in ("id", "operation", "principal", "model", "review", "reviewer")}
        return {**about, "created": iso(row["created"]), **opened}

    def _sample(self, row: Row) -> Any:
        return self._seal.open(row["sealed"], "samples", row["epoch"], row["class"], row["number"])


def _which(kind: str) -> str:
    table, key, old, _ = _OLD[kind]
    return f"SELECT {key} FROM {table} WHERE {old} AND {_FREE} LIMIT ?"


def _key(row: Row) -> tuple[str, str, str]:
    return row["caller"], row["operation"], row["key"]


def _legs_of(tx: Transaction, write: Row) -> list[Row]:
    return tx.all("SELECT * FROM legs WHERE (caller, operation, key) = (?, ?, ?)", _key(write))


def _shared(tx: Transaction, table: str, found: str) -> bool:
    """Whether a row about this person is about another, too, who is held."""
    held = "EXISTS (SELECT 1 FROM holds h WHERE subject LIKE '%' || h.fingerprint || '%')"
    return tx.one(f"SELECT subject FROM {table} WHERE subject LIKE ? AND {held} LIMIT 1", (f"%{found}%",)) is not None


def _refuse_held(tx: Transaction, found: str) -> None:
    if tx.one("SELECT at FROM holds WHERE fingerprint = ?", (found,)) is not None:
        raise NotPossible("nothing more is erased: this person is under a legal hold")
