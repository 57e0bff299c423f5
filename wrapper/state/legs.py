"""Legs: the parts of writes that one side has and the other has not (yet). A leg is noted before its write's first act and counts once the
write is known to have happened: so no death between the two loses the knowledge that the sides differ.

    pending --> done       the side has it now        owed ------> pending   somebody has it carried over
     |  |  `--> failed     the side refused it        failed ----> pending   somebody has it tried again
     |  `-----> unknown    nobody knows               any open --> settled   a person has looked, and says so
     `--------> (gone)     the write has not happened

A leg is carried out as a write of its own, of caller LEG under the leg's id as key: what becomes of that write becomes of the leg, in one
transaction (`follow`). It holds back later ones of the same subject and side, and no write of a subject begins while another one is
under way, or at a side that lacks something: so both sides see the same order.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wrapper.operation import Side
from wrapper.state.clock import gone
from wrapper.state.database import Row, Transaction
from wrapper.state.records import WriteId
from wrapper.state.table import Table

LEG = "figway:leg"
"""The caller of the writes that carry legs out; no key can have this name."""
LegState = Literal["pending", "owed", "done", "failed", "unknown", "settled"]
OPEN = "('pending', 'owed', 'failed', 'unknown')"
Hindrance = Literal["", "under way", "behind"]
Outcome = Literal["done", "unknown", "undone"]
"""Of a write. `undone`: it has not happened."""
_OF = "(w.caller, w.operation, w.key, w.owner) = (l.caller, l.operation, l.key, l.owner)"
_FROM = f"SELECT l.*, w.state AS write_state, w.until AS until FROM legs l LEFT JOIN writes w ON {_OF}"
_OWN = "EXISTS (SELECT 1 FROM writes o WHERE (o.caller, o.operation, o.key) = (?, l.operation, l.id))"
_BEHIND = (
    "EXISTS (SELECT 1 FROM legs e WHERE (e.family, e.subject, e.side) = (l.family, l.subject, l.side)"
    f" AND e.number < l.number AND e.state IN {OPEN})"
)

LATE = 60.0
"""Seconds after which a write that one side lacks is no more just on its way."""


@dataclass(frozen=True, slots=True)
class Leg:
    """`side` is the one that lacks the write; `subject` is a digest. `happened`: whether the write itself is known to have happened; None
    when that is unknown, False while it is under way."""

    id: str
    family: str
    subject: str
    operation: str
    side: Side
    write: WriteId
    state: LegState
    detail: str
    attempts: int
    created: float
    happened: bool | None


class Legs(Table):
    def subject(self, family: str, key: str) -> str:
        """The digest under which a key of a group is known; the same that evidence uses."""
        return self._seal.fingerprint(["key", family, key])

    def add_leg(self, write: WriteId, family: str, key: str, side: Side, state: LegState, given: Mapping[str, Any]) -> Hindrance:
        """Note what `side` will lack once the write has happened; or that this write can't begin now, because another one of this key is
        under way, or because the side where it would happen is itself behind."""
        subject, id = self.subject(family, key), secrets.token_hex(8)
        sealed = self._seal.close(given, "legs.given", id)
        with self._db.transaction(alone=f"legs {subject}") as tx:
            there = self._open_of(tx, family, subject)
            if any(row["owner"] == write.owner and row["key"] == write.key for row in there):
                return ""  # it is sent again
            if any(row["side"] != side for row in there):
                return "behind"
            now = tx.now()
            if any(row["write_state"] == "reserved" and row["until"] >= now and not gone(row["owner"]) for row in there):
                return "under way"
            tx.execute(
                "INSERT INTO legs"
                " (id, family, subject, operation, side, caller, key, owner, given, state, next_at, number, created)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
                (
                    id, family, subject, write.operation, side, write.caller, write.key, write.owner, sealed, state,
                    1 + max((row["number"] for row in there), default=0), tx.wall(),
                ),
            )  # fmt: skip
        return ""

    def lacking(self, family: str, key: str) -> frozenset[Side]:
        """The sides that lack something of this key of a group, or will once a write that is under way has happened."""
        which = f"state IN {OPEN} AND family = ? AND subject = ?"
        with self._db.reading() as tx:
            rows = tx.all(f"SELECT DISTINCT side FROM legs WHERE {which}", (family, self.subject(family, key)))
        return frozenset(row["side"] for row in rows)

    def owed(self, family: str) -> int:
        """How many writes legacy lacks, or may lack; without those that are on their way to it."""
        with self._db.reading() as tx:
            return owed(tx, family)

    def open_legs(self, family: str | None = None, limit: int = 1000) -> list[Leg]:
        """The oldest first."""
        which, values = ("", ()) if family is None else (" AND l.family = ?", (family,))
        with self._db.reading() as tx:
            rows = tx.all(f"{_FROM} WHERE l.state IN {OPEN}{which} ORDER BY l.created, l.number LIMIT ?", (*values, limit))
            now = tx.now()
        return [_leg(row, now) for row in rows]

    def legs_by_state(self, family: str | None = None) -> dict[str, int]:
        """How many there are, the closed ones too."""
        which, values = ("", ()) if family is None else (" WHERE family = ?", (family,))
        with self._db.reading() as tx:
            rows = tx.all(f"SELECT state, COUNT(*) AS many FROM legs{which} GROUP BY state", values)
        return {row["state"]: int(row["many"]) for row in rows}

    def leg(self, id: str) -> Leg | None:
        with self._db.reading() as tx:
            row, now = tx.one(f"{_FROM} WHERE l.id = ?", (id,)), tx.now()
        return None if row is None else _leg(row, now)

    def leg_given(self, id: str) -> dict[str, Any]:
        """What was given for it when its write began, as long as it is open."""
        with self._db.reading() as tx:
            row = tx.one("SELECT given FROM legs WHERE id = ?", (id,))
        given: dict[str, Any] = self._seal.open(row["given"], "legs.given", id) if row is not None and row["given"] else {}
        return given

    def idempotency(self, write: WriteId) -> str:
        """The key under which a back end knows the write again, whichever side it is sent to."""
        return self._seal.fingerprint(["idempotency", write.caller, write.operation, write.key])

    def retake(self, write: WriteId, side: Side, seconds: float) -> bool:
        """Reserve a write of unknown outcome again, to be sent again to this side, which takes idempotency keys. Not when it was sent to
        the other one, nor when a later write of its record has begun: it would overtake that."""
        same, values = "(l.caller, l.operation, l.key) = (?, ?, ?)", (write.caller, write.operation, write.key)
        with self._db.reading() as tx:
            found = tx.one(f"SELECT l.* FROM legs l WHERE {same} AND l.side <> ? AND l.state IN {OPEN}", (*values, side))
        if found is None:
            return False
        with self._db.transaction(alone=f"legs {found['subject']}") as tx:
            if any(row["number"] > found["number"] for row in self._open_of(tx, found["family"], found["subject"])):
                return False
            taken = "UPDATE writes SET state = 'reserved', owner = ?, until = ? WHERE (caller, operation, key, owner) = (?, ?, ?, ?)"
            until = tx.now() + seconds
            if not tx.execute(f"{taken} AND state = 'unknown'", (write.owner, until, *values, found["owner"])).rowcount:
                return False
            return tx.execute("UPDATE legs SET owner = ? WHERE id = ?", (write.owner, found["id"])).rowcount > 0

    # -- carrying them out

    def due_legs(self, side: Side, limit: int) -> list[Leg]:
        """What this side lacks whose write has happened, that nobody is busy with and that no earlier one holds back."""
        with self._db.reading() as tx:
            now = tx.now()
            rows = tx.all(
                f"{_FROM} WHERE l.state = 'pending' AND w.state = 'done' AND l.side = ? AND l.next_at <= ? AND NOT {_OWN} AND NOT {_BEHIND}"
                " ORDER BY l.next_at, l.created LIMIT ?",
                (side, now, LEG, limit),
            )
        return [_leg(row, now) for row in rows]

    def try_leg(self, id: str, again: float) -> bool:
        """One more attempt, by who has reserved its write; the next one `again` seconds from now at the earliest. False when it is not
        pending any more."""
        with self._db.transaction() as tx:
            change = "UPDATE legs SET attempts = attempts + 1, next_at = ? WHERE id = ? AND state = 'pending'"
            return tx.execute(change, (tx.now() + again, id)).rowcount > 0

    def explain_leg(self, id: str, detail: str, state: LegState | None = None) -> None:
        """Why it is open yet; one that is pending may become something else by it."""
        change, values = ("", ()) if state is None else ("state = ?, ", (state,))
        among = "('pending', 'unknown')" if state is None else "('pending')"
        with self._db.transaction() as tx:
            tx.execute(f"UPDATE legs SET {change}detail = ? WHERE id = ? AND state IN {among}", (*values, detail, id))

    # -- what people say

    def pend_legs(self, family: str, more: str = "") -> int:
        """What is owed is to be carried over now; how many that are. `more` is added to the detail."""
        with self._db.transaction() as tx:
            change = "UPDATE legs SET state = 'pending', next_at = 0, detail = detail || ? WHERE family = ? AND state = 'owed'"
            return tx.execute(change, (more, family)).rowcount

    def pend_leg(self, id: str, more: str = "") -> bool:
        """It is to be tried again: whatever became of the write of the try before is forgotten."""
        return self._say(id, "state = 'pending', next_at = 0, detail = detail || ?", "('failed', 'unknown')", more)

    def close_leg(self, id: str, detail: str) -> bool:
        """A person has settled it by hand."""
        return self._say(id, "state = 'settled', given = ?, detail = ?", OPEN, b"", detail)

    def _say(self, id: str, change: str, among: str, *values: Any) -> bool:
        with self._db.transaction() as tx:
            changed = tx.execute(f"UPDATE legs SET {change} WHERE id = ? AND state IN {among}", (*values, id)).rowcount
            if changed:
                tx.execute("DELETE FROM writes WHERE caller = ? AND key = ?", (LEG, id))
        return changed > 0

    def _open_of(self, tx: Transaction, family: str, subject: str) -> list[Row]:
        return tx.all(f"{_FROM} WHERE l.state IN {OPEN} AND l.family = ? AND l.subject = ?", (family, subject))


def follow(tx: Transaction, write: WriteId, outcome: Outcome) -> None:
    """What has become of a write becomes of the leg that it carries out; one that has not happened has no legs."""
    if write.caller == LEG:
        state, given = ("pending" if outcome == "undone" else outcome), (", given = ?" if outcome == "done" else "")
        values = (state, *((b"",) if given else ()), write.key)
        tx.execute(f"UPDATE legs SET state = ?{given} WHERE id = ? AND state IN ('pending', 'unknown')", values)
        if outcome == "done":
            tx.execute("DELETE FROM writes WHERE caller = ? AND operation = ? AND key = ?", (LEG, write.operation, write.key))
    elif outcome == "undone":
        values = (write.caller, write.operation, write.key, write.owner)
        tx.execute("DELETE FROM legs WHERE (caller, operation, key) = (?, ?, ?) AND owner = ?", values)


def owed(tx: Transaction, family: str) -> int:
    """See Legs.owed: reads follow what is on its way, and it is soon there."""
    coming = f"l.state = 'pending' AND l.created >= ? AND EXISTS (SELECT 1 FROM writes w WHERE {_OF} AND w.state <> 'unknown')"
    which = f"l.family = ? AND l.side = 'legacy' AND l.state IN {OPEN} AND NOT ({coming})"
    row = tx.one(f"SELECT COUNT(*) AS many FROM legs l WHERE {which}", (family, tx.wall() - LATE))
    return int(row["many"]) if row is not None else 0


def _leg(row: Row, now: float) -> Leg:
    write = WriteId(row["caller"], row["operation"], row["key"], row["owner"])
    under_way = row["write_state"] == "reserved" and row["until"] >= now and not gone(row["owner"])
    happened = True if row["write_state"] == "done" else False if under_way else None
    return Leg(
        row["id"], row["family"], row["subject"], row["operation"], row["side"], write, row["state"], row["detail"], row["attempts"],
        row["created"], happened,
    )  # fmt: skip
