"""Idempotent writes: reserved before the first act, settled by what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wrapper.problems import NotReady
from wrapper.state.clock import gone
from wrapper.state.database import BOUND, Row, Transaction
from wrapper.state.legs import Outcome, follow
from wrapper.state.records import Reservation, Unsettled, WriteId
from wrapper.state.subjects import fingerprints
from wrapper.state.table import Table
from wrapper.subjects import Subject

_THIS = "(caller, operation, key) = (?, ?, ?)"
MINE = f"{_THIS} AND owner = ?"


class Writes(Table):
    def reserve(self, write: WriteId, request: Any, seconds: float, noted: bool = True, subjects: Sequence[Subject] = ()) -> Reservation:
        """Take the write, or say why not. A reservation whose process has ended, or that outlived `seconds`, has an unknown outcome; where
        its act will not be `noted` (intend, add_job), that is on record from here on: nobody can tell later whether it was begun."""
        fingerprint, intent = self._seal.fingerprint(request), None if noted else self._seal.close({}, *bound("intent", write))
        with self._db.transaction() as tx:
            now = tx.now()
            values = (*mine(write), fingerprint, now + seconds, tx.wall(), intent, fingerprints(self._seal, subjects))
            taken = tx.execute(
                "INSERT INTO writes (caller, operation, key, owner, fingerprint, state, until, created, intent, subject)"
                " VALUES (?, ?, ?, ?, ?, 'reserved', ?, ?, ?, ?) ON CONFLICT (caller, operation, key) DO NOTHING",
                values,
            ).rowcount
            row = None if taken else _write(tx, write)
        if taken:
            return Reservation("new")
        if row is None:
            return Reservation("in_flight")  # its owner gave it back this very moment
        if row["fingerprint"] not in (fingerprint, ""):  # an erased one tells nothing of what was asked
            return Reservation("mismatch")
        if row["state"] == "done":
            return Reservation("done", self._seal.open(row["answer"], *bound("answer", write)) if row["answer"] else None, row["job"])
        if not _unseen(row, now):
            return Reservation("in_flight")
        return Reservation("unknown", unsettled=self._unsettled(row, now))

    def intend(self, write: WriteId, intent: Any) -> None:
        """What it will take to settle this write, should its end not be seen; before its first act. Raises NotReady, also when it is not
        this one's any more: it was thought dead."""
        with self._db.transaction() as tx:
            sealed = self._seal.close(intent, *bound("intent", write))
            if not tx.execute(f"UPDATE writes SET intent = ? WHERE {MINE}", (sealed, *mine(write))).rowcount:
                raise NotReady("this write took too long to begin; send it again")

    # -- what its owner says, as long as the write is its own; whose caller has waited long enough says it `within` little time

    def settle(self, write: WriteId, answer: Any, within: float = BOUND) -> None:
        """The write happened and this is its answer."""
        with self._db.transaction(within=within) as tx:
            values = (self._seal.close(answer, *bound("answer", write)), *mine(write))
            tx.execute(f"UPDATE writes SET state = 'done', answer = ?, intent = NULL WHERE {MINE}", values)
            follow(tx, write, "done")

    def settle_unknown(self, write: WriteId, within: float = BOUND) -> None:
        """The write was sent and nobody knows: it will never be done again under this key, unless it is settled by asking."""
        with self._db.transaction(within=within) as tx:
            if tx.execute(f"UPDATE writes SET state = 'unknown' WHERE {MINE} AND state = 'reserved'", mine(write)).rowcount:
                follow(tx, write, "unknown")

    def release(self, write: WriteId, within: float = BOUND) -> None:
        """Nothing happened: the caller may try again under the same key. A write that is settled, or has its job, stays."""
        with self._db.transaction(within=within) as tx:
            if tx.execute(f"DELETE FROM writes WHERE {MINE} AND state = 'reserved'", mine(write)).rowcount:
                follow(tx, write, "undone")

    # -- what a settler says

    def unsettled(self, limit: int = 200) -> list[Unsettled]:
        """Writes that may be settled now, those first whose time passed first."""
        with self._db.reading() as tx:
            now = tx.now()
            open = "state = 'reserved' OR (state = 'unknown' AND intent IS NOT NULL)"  # see _open
            rows = tx.all(f"SELECT * FROM writes WHERE {open} ORDER BY until LIMIT ?", (limit,))
        return [self._unsettled(row, now) for row in rows if _unseen(row, now)]

    def found_done(self, write: Unsettled, answer: Any) -> None:
        """It has happened, and this is its answer."""
        sealed = self._seal.close(answer, *bound("answer", write.id))
        self._found(write, "done", "UPDATE writes SET state = 'done', answer = ?, intent = NULL", sealed)

    def found_nothing(self, write: Unsettled) -> None:
        """It can't be told, and never will be."""
        self._found(write, "unknown", "UPDATE writes SET state = 'unknown', intent = NULL")

    def found_undone(self, write: Unsettled) -> None:
        """It has not happened: its caller may send it again under the same key."""
        self._found(write, "undone", "DELETE FROM writes")

    def unknown_writes(self, limit: int = 100) -> list[Unsettled]:
        """The newest writes whose end nobody has seen, those too that can't be settled; what was sent stays sealed."""
        with self._db.reading() as tx:
            now = tx.now()
            rows = tx.all("SELECT * FROM writes WHERE state IN ('reserved', 'unknown') ORDER BY created DESC LIMIT ?", (limit,))
        return [self._unsettled(row, now) for row in rows if _unseen(row, now)]

    def _found(self, write: Unsettled, outcome: Outcome, change: str, *values: Any) -> None:
        """Unless its owner, or another settler, has said something meanwhile, or its caller has taken the key again."""
        with self._db.transaction() as tx:
            if tx.execute(f"{change} WHERE {MINE} AND state IN ('reserved', 'unknown')", (*values, *mine(write.id))).rowcount:
                follow(tx, write.id, outcome)

    def _unsettled(self, row: Row, now: float) -> Unsettled:
        id = WriteId(row["caller"], row["operation"], row["key"], row["owner"])
        intent = None if row["intent"] is None else self._seal.open(row["intent"], *bound("intent", id))
        return Unsettled(id, row["created"], _open(row), gone(row["owner"]), row["until"] - now, intent)


def _unseen(row: Row, now: float) -> bool:
    """Whether nobody will tell how it ended: it is unknown, or its process has ended or outlived its time."""
    return bool(row["state"] == "unknown" or row["until"] < now or gone(row["owner"]))


def _open(row: Row) -> bool:
    """Whether it may yet be settled."""
    return bool(row["state"] == "reserved" or row["intent"] is not None)


def mine(write: WriteId) -> tuple[str, str, str, str]:
    """The values of MINE."""
    return write.caller, write.operation, write.key, write.owner


def bound(column: str, write: WriteId) -> tuple[str, ...]:
    """What a sealed value of it is bound to."""
    return f"writes.{column}", *mine(write)[:3]


def _write(tx: Transaction, write: WriteId) -> Row | None:
    return tx.one(f"SELECT * FROM writes WHERE {_THIS}", mine(write)[:3])
