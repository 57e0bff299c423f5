"""Leases in the store: which process holds a name, who waits for it, and which names nobody may take any more.

Whoever holds a name renews it; see holder.py for that side. Each taking has a number of its own, so that one who has lost a name can't
renew what another holds by now. What is to be decided is decided by functions of the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from wrapper.state.clock import gone
from wrapper.state.database import Row, Transaction
from wrapper.state.table import Table

WAITS = 1.5  # seconds for which a waiter counts after it has asked
KEEPS = 0.5  # seconds that a holder may keep what it has got, whoever waits
WIDENS = 0.2  # seconds of waiting after which one more holder is asked to give its name up


@dataclass(frozen=True, slots=True)
class Lease:
    """A name's row, for operators and for decisions. `left` is in seconds."""

    name: str
    holder: str
    fence: int
    left: float
    held: float
    barred: bool

    @property
    def live(self) -> bool:
        return bool(self.holder) and self.left > 0


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody who found nothing free among `names`, while holding `holding` of them."""

    holder: str
    names: frozenset[str]
    holding: int
    waited: float


class LeaseTable(Table):
    def take_lease(self, names: Sequence[str], who: str, holding: int, seconds: float) -> tuple[str, int] | None:
        """The first name that may be had and its fencing number; else `who` is noted as waiting."""
        if not names:
            return None
        with self._db.transaction(alone="leases") as tx:
            now = tx.now()
            leases, waiters = _rows(tx, now)
            name = free(names, who, holding, leases, waiters)
            if name is None:
                _wait(tx, [n for n in names if not (n in leases and leases[n].barred)], who, holding, now)
                return None
            row = tx.one(
                "INSERT INTO leases (name, holder, fence, until, since) VALUES (?, ?, 1, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " holder = excluded.holder, fence = leases.fence + 1, until = excluded.until, since = excluded.since RETURNING fence",
                (name, who, now + seconds, now),
            )
            assert row is not None
            tx.execute("DELETE FROM waiters WHERE holder = ? OR until < ?", (who, now))
        return name, row["fence"]

    def renew_leases(self, held: Mapping[str, int], who: str, seconds: float) -> frozenset[str]:
        """Those of `held` (name -> fencing number) that are still `who`'s, now for at least `seconds`."""
        with self._db.transaction() as tx:
            now = tx.now()
            return frozenset(
                name
                for name, fence in sorted(held.items())
                if tx.execute(
                    "UPDATE leases SET until = CASE WHEN until > ? THEN until ELSE ? END"
                    " WHERE name = ? AND holder = ? AND fence = ? AND until > ?",
                    (now + seconds, now + seconds, name, who, fence, now),
                ).rowcount
            )

    def give_lease(self, name: str, who: str, fence: int) -> None:
        """Free at once; nothing happens when it is somebody else's."""
        with self._db.transaction() as tx:
            tx.execute("UPDATE leases SET holder = '', until = 0 WHERE name = ? AND holder = ? AND fence = ?", (name, who, fence))

    def bar_lease(self, name: str) -> None:
        """Nobody takes it from now on; who holds it goes on."""
        with self._db.transaction() as tx:
            tx.execute("INSERT INTO leases (name, barred) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET barred = 1", (name,))

    def unbar_lease(self, name: str) -> bool:
        """Whether it was barred."""
        with self._db.transaction() as tx:
            return bool(tx.execute("UPDATE leases SET barred = 0 WHERE name = ? AND barred = 1", (name,)).rowcount)

    def lease_barred(self, name: str) -> bool:
        with self._db.reading() as tx:
            return tx.one("SELECT 1 AS barred FROM leases WHERE name = ? AND barred = 1", (name,)) is not None

    def leases(self) -> tuple[Mapping[str, Lease], Sequence[Waiter]]:
        """All that were ever taken or barred, and who waits."""
        with self._db.reading() as tx:
            return _rows(tx, tx.now())


def free(
    names: Sequence[str],
    who: str,
    holding: int,
    leases: Mapping[str, Lease],
    waiters: Sequence[Waiter],
    dead: Callable[[str], bool] = gone,
) -> str | None:
    """The first name that `who` may take: not barred, not held by a living process, and not due to those who wait with less, or longer."""
    open_ = [n for n in names if n not in leases or not (leases[n].barred or (leases[n].live and not dead(leases[n].holder)))]
    mine = next((w for w in waiters if w.holder == who), Waiter(who, frozenset(), holding, 0.0))
    first = [w for w in waiters if w.holder != who and (w.holding, -w.waited) < (holding, -mine.waited) and not dead(w.holder)]
    due = sum(1 for w in first if not w.names.isdisjoint(open_))
    return open_[0] if len(open_) > due else None


def wanted(who: str, leases: Collection[Lease], waiters: Sequence[Waiter]) -> frozenset[str]:
    """The names that `who` should give up. All holders decide alike from the same rows: for each waiter one gives, the one who has most
    and has had it longest; more are asked as the waiting goes on, for the first may be in the midst of a call. Who holds none comes
    first; between others a name goes over only where that makes them more equal, so that it never comes straight back."""
    asked: set[str] = set()
    has = Counter(lease.holder for lease in leases if lease.live)
    for waiter in sorted(waiters, key=lambda w: (w.holding, -w.waited)):
        theirs = [lease for lease in leases if lease.live and lease.name in waiter.names and lease.holder != waiter.holder]
        for _ in range(1 + int(waiter.waited / WIDENS)):
            able = [
                lease
                for lease in theirs
                if lease.name not in asked and lease.held >= KEEPS and (not waiter.holding or has[lease.holder] > waiter.holding + 1)
            ]
            if not able:
                break
            chosen = max(able, key=lambda lease: (has[lease.holder], lease.held, lease.name))
            asked.add(chosen.name)
            has[chosen.holder] -= 1
    return frozenset(lease.name for lease in leases if lease.name in asked and lease.holder == who)


def _wait(tx: Transaction, names: Sequence[str], who: str, holding: int, now: float) -> None:
    """`since` stays while the waiter keeps asking. A row that is fresh enough is left, so that asking often costs no disk; so is one for
    less than is held now, by a thread of the same process that needs it more."""
    for name in sorted(set(names)):
        tx.execute(
            "INSERT INTO waiters (name, holder, holding, since, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name, holder) DO UPDATE SET"
            " since = CASE WHEN waiters.until < ? THEN excluded.since ELSE waiters.since END,"
            " holding = excluded.holding, until = excluded.until WHERE waiters.until < ? OR excluded.holding < waiters.holding"
            " OR (excluded.holding = waiters.holding AND waiters.until < ?)",
            (name, who, holding, now, now + WAITS, now, now, now + WAITS / 2),
        )


def _rows(tx: Transaction, now: float) -> tuple[dict[str, Lease], list[Waiter]]:
    leases = {row["name"]: _lease(row, now) for row in tx.all("SELECT * FROM leases ORDER BY name")}
    asking: dict[str, list[Row]] = {}
    for row in tx.all("SELECT * FROM waiters WHERE until >= ?", (now,)):
        asking.setdefault(row["holder"], []).append(row)
    waiters = [
        Waiter(holder, frozenset(r["name"] for r in rows), max(r["holding"] for r in rows), now - min(r["since"] for r in rows))
        for holder, rows in asking.items()
    ]
    return leases, waiters


def _lease(row: Row, now: float) -> Lease:
    return Lease(row["name"], row["holder"], row["fence"], row["until"] - now, now - row["since"], bool(row["barred"]))
