"""Idempotent writes: reserved before the first act, settled by what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wrapper.state.clock import gone, me
from wrapper.state.database import Row, Transaction
from wrapper.state.generations import bumped
from wrapper.state.records import Reservation, WriteId
from wrapper.state.table import Table

_THIS = "(caller, operation, key) = (?, ?, ?)"


class Writes(Table):
    def reserve(self, write: WriteId, request: Any, seconds: float) -> Reservation:
        """Take the write, or say why not. A reservation whose process has ended, or that outlived `seconds`, has an unknown outcome."""
        fingerprint = self._seal.fingerprint(request)
        with self._db.transaction() as tx:
            now = tx.now()
            taken = tx.execute(
                "INSERT INTO writes (caller, operation, key, fingerprint, state, until, created, owner)"
                " VALUES (?, ?, ?, ?, 'reserved', ?, ?, ?) ON CONFLICT (caller, operation, key) DO NOTHING",
                (write.caller, write.operation, write.key, fingerprint, now + seconds, tx.wall(), me()),
            ).rowcount
            row = None if taken else _write(tx, write)
        if taken:
            return Reservation("new")
        if row is None:
            return Reservation("in_flight")  # its owner gave it back this very moment
        if row["fingerprint"] != fingerprint:
            return Reservation("mismatch")
        if row["state"] == "done":
            return Reservation("done", self._seal.open(row["answer"]) if row["answer"] else None, row["job"])
        dead = row["until"] < now or gone(row["owner"])
        return Reservation("unknown" if row["state"] == "unknown" or dead else "in_flight")

    def settle(self, write: WriteId, answer: Any, invalidates: Sequence[str] = ()) -> None:
        """The write happened and this is its answer; what was read of `invalidates` before is stale."""
        self._set_write(write, "done", self._seal.close(answer), invalidates)

    def settle_unknown(self, write: WriteId, invalidates: Sequence[str] = ()) -> None:
        """The write was sent and nobody knows: it will never be done again under this key."""
        self._set_write(write, "unknown", None, invalidates)

    def release(self, write: WriteId) -> None:
        """Nothing happened: the caller may try again under the same key. A write that is settled, or has its job, stays."""
        with self._db.transaction() as tx:
            tx.execute(f"DELETE FROM writes WHERE {_THIS} AND state = 'reserved'", (write.caller, write.operation, write.key))

    def _set_write(self, write: WriteId, state: str, answer: bytes | None, invalidates: Sequence[str]) -> None:
        with self._db.transaction() as tx:
            tx.execute(f"UPDATE writes SET state = ?, answer = ? WHERE {_THIS}", (state, answer, write.caller, write.operation, write.key))
            bumped(tx, invalidates)


def _write(tx: Transaction, write: WriteId) -> Row | None:
    return tx.one(f"SELECT * FROM writes WHERE {_THIS}", (write.caller, write.operation, write.key))
