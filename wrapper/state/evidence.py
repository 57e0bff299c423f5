"""Evidence as the store keeps it: what all processes have seen of an endpoint's comparisons, added up exactly.

All rows are taken in one order, so that no two who record wait for each other; first the keys, which are mostly one's own, and then what
everybody adds to. Of keys there are keyed digests only.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wrapper.migration.consumption import Consumption
from wrapper.migration.evidence import Seen
from wrapper.migration.facts import SLICE, Batch, Epoch, Facts, Feed, Sample
from wrapper.state.database import BOUND, Row, Transaction
from wrapper.state.subjects import fingerprints
from wrapper.state.table import Table
from wrapper.units import HOUR

SAMPLES = 20  # of one kind in one epoch
KINDS = 50  # of samples in one epoch
KEEPS = 2 * 86400 // SLICE  # slices of the recent past that are kept
PRUNES = 600 // SLICE  # every so many slices what is older goes
EPOCHS = 20  # of an endpoint, that are kept
PORTION = 5000  # keys that one transaction takes away
AGREE = 0.5  # seconds by which clocks may differ and are said to agree
ROWS = 100  # in one statement
_SEEN = "modern_keys, modern_differed, self_keys, self_differed"
_KEYS = "INSERT INTO epoch_keys (epoch, feed, key, differed) VALUES {} ON CONFLICT (epoch, feed, key)"


class Evidence(Table):
    def record(self, batch: Batch, within: float = BOUND) -> None:
        """All of it or nothing, in one transaction. When it raises Unsure it may have been recorded all the same: keys may be recorded
        again, sums would be counted twice."""
        keys: dict[tuple[str, Feed], dict[str, bool]] = defaultdict(dict)
        for (epoch, feed, group, key), differed in batch.keys.items():
            digest = self._seal.fingerprint(["key", group, key])[:32]  # 128 bits: no two customers will ever share one
            keys[epoch.id, feed][digest] = differed
        with self._db.transaction(within=within, apart="evidence") as tx:
            now = tx.wall()
            new = {(id, name): _add_keys(tx, id, name, found) for (id, name), found in sorted(keys.items())}
            _touch(tx, batch, new, now)
            self._keep_samples(tx, batch.samples, now)
            hours = {(id, int(now // HOUR)): seen.keys for (id, name), seen in new.items() if name == "modern" and seen.keys}
            _add_up(tx, "epoch_hours", "epoch, hour", hours)
            _add_up(tx, "epoch_counts", "epoch, name", {(epoch.id, name): more for (epoch, name), more in batch.counts.items()})
            _add_up(tx, "recent", "endpoint, slice, name", _by_our_clock(batch, now))
            _add_calls(tx, batch)
            for endpoint in sorted({endpoint for endpoint, slice, _ in batch.recent if slice % PRUNES == 0}):
                tx.execute("DELETE FROM recent WHERE endpoint = ? AND slice < ?", (endpoint, int(now // SLICE) - KEEPS))

    def facts(self, endpoint: str) -> Facts | None:
        """Of the epoch that was recorded last, None when nothing ever was."""
        return next(iter(self.epochs(endpoint, 1)), None)

    def epochs(self, endpoint: str, limit: int = EPOCHS) -> list[Facts]:
        """Of each epoch of an endpoint, the one that was recorded last first."""
        with self._db.reading() as tx:
            rows = tx.all("SELECT * FROM epochs WHERE endpoint = ? ORDER BY last DESC, began DESC LIMIT ?", (endpoint, limit))
            return [_fact(tx, row, int(tx.wall() // HOUR) - 24) for row in rows]

    def newest_build(self, endpoint: str) -> str:
        """Of the epoch that was recorded last, "" when nothing ever was."""
        with self._db.reading() as tx:
            row = tx.one("SELECT build FROM epochs WHERE endpoint = ? ORDER BY last DESC, began DESC LIMIT 1", (endpoint,))
        return "" if row is None else str(row["build"])

    def prune_epochs(self, endpoint: str) -> bool:
        """Take away some of what is kept of an endpoint's epochs beyond the EPOCHS that were recorded last; whether there was any."""
        with self._db.reading() as tx:
            old = tx.one("SELECT id FROM epochs WHERE endpoint = ? ORDER BY last DESC, began DESC LIMIT 1 OFFSET ?", (endpoint, EPOCHS))
        if old is None:
            return False
        some = "SELECT feed, key FROM epoch_keys WHERE epoch = ? LIMIT ?"
        with self._db.transaction() as tx:
            values = (old["id"], old["id"], PORTION)
            if tx.execute(f"DELETE FROM epoch_keys WHERE epoch = ? AND (feed, key) IN ({some})", values).rowcount < PORTION:
                tx.execute("DELETE FROM epochs WHERE id = ?", (old["id"],))
                for table in ("samples", "epoch_hours", "epoch_counts"):
                    tx.execute(f"DELETE FROM {table} WHERE epoch = ?", (old["id"],))
        return True

    def recent(self, endpoint: str, since: float) -> dict[str, float]:
        """What was counted in the slices that begin at `since` (seconds since 1970) or later: nothing of what was before."""
        with self._db.reading() as tx:
            rows = tx.all(
                "SELECT name, SUM(number) AS number FROM recent WHERE endpoint = ? AND slice >= ? GROUP BY name",
                (endpoint, math.ceil(since / SLICE)),
            )
        return {row["name"]: row["number"] for row in rows}

    def time_of_day(self) -> float:
        """By the store's clock, as moves and the recent past are told: hosts' own may differ by minutes."""
        with self._db.reading() as tx:
            return tx.wall()

    def samples(self, endpoint: str) -> list[tuple[float, Sample]]:
        """Differences of the epoch that was recorded last and when each was met, by kind."""
        facts = self.facts(endpoint)
        if facts is None:
            return []
        with self._db.reading() as tx:
            rows = tx.all("SELECT at, class, number, sealed FROM samples WHERE epoch = ? ORDER BY class, number", (facts.epoch.id,))
        opened = ((row, self._seal.open(row["sealed"], "samples", facts.epoch.id, row["class"], row["number"])) for row in rows)
        return [(row["at"], Sample(facts.epoch, row["class"], shown)) for row, shown in opened]

    def consumers(self, endpoint: str | None = None) -> list[Consumption]:
        """Who called, of one endpoint or of all, by endpoint, consumer, day and side."""
        one, values = ("", ()) if endpoint is None else ("WHERE endpoint = ?", (endpoint,))
        with self._db.reading() as tx:
            rows = tx.all(f"SELECT * FROM consumers {one} ORDER BY endpoint, consumer, day, side", values)
        return [Consumption(**dict(row)) for row in rows]

    def _keep_samples(self, tx: Transaction, samples: Sequence[Sample], now: float) -> None:
        """The first of each kind, as long as there is room."""
        have: dict[str, dict[str, int]] = {}
        rows = []
        for sample in samples:
            id = sample.epoch.id
            if id not in have:
                counted = tx.all("SELECT class, MAX(number) AS last FROM samples WHERE epoch = ? GROUP BY class", (id,))
                have[id] = {row["class"]: 1 + int(row["last"]) for row in counted}
            kinds = have[id]
            number = kinds.get(sample.kind, 0)
            if number < SAMPLES and (number or len(kinds) < KINDS):
                kinds[sample.kind] = number + 1
                sealed = self._seal.close(sample.shown, "samples", id, sample.kind, number)
                rows.append((id, sample.kind, number, now, sealed, fingerprints(self._seal, sample.subjects)))
        for marks, values in _parts(rows):
            tx.execute(f"INSERT INTO samples (epoch, class, number, at, sealed, subject) VALUES {marks}", values)


def _touch(tx: Transaction, batch: Batch, new: Mapping[tuple[str, Feed], Seen], now: float) -> None:
    """The epochs of a batch, begun if need be, with their new keys. Their rows are ours until the transaction ends: whoever keeps samples
    sees those of all others."""
    told = [*(key[0] for key in batch.keys), *(epoch for epoch, _ in batch.counts), *(sample.epoch for sample in batch.samples)]
    rows = []
    for id, e in sorted({epoch.id: epoch for epoch in set(told)}.items()):
        seen, noise = new.get((id, "modern"), Seen()), new.get((id, "self"), Seen())
        rows.append((id, e.endpoint, e.build, e.catalogue, e.rules, now, now, seen.keys, seen.differed, noise.keys, noise.differed))
    more = ", ".join(f"{name} = epochs.{name} + excluded.{name}" for name in _SEEN.split(", "))
    for marks, values in _parts(rows):
        tx.execute(
            f"INSERT INTO epochs (id, endpoint, build, catalogue, rules, began, last, {_SEEN}) VALUES {marks} ON CONFLICT (id) DO UPDATE"
            f" SET last = CASE WHEN excluded.last > epochs.last THEN excluded.last ELSE epochs.last END, {more}",
            values,
        )


def _add_keys(tx: Transaction, epoch: str, feed: Feed, found: Mapping[str, bool]) -> Seen:
    """How many were new, and how many differed for the first time: never the other way. The sums are kept with the epoch, since there may
    be millions of keys to count."""
    added: dict[str, int] = {}
    for marks, values in _parts([(epoch, feed, key, int(differs)) for key, differs in sorted(found.items())]):
        rows = tx.all(f"{_KEYS.format(marks)} DO NOTHING RETURNING key, differed", values)
        added |= {row["key"]: row["differed"] for row in rows}
    differed = sum(added.values())
    for marks, values in _parts([(epoch, feed, key, 1) for key, differs in sorted(found.items()) if differs and key not in added]):
        turn = f"{_KEYS.format(marks)} DO UPDATE SET differed = 1 WHERE epoch_keys.differed = 0 RETURNING key"
        differed += len(tx.all(turn, values))
    return Seen(len(added), differed)


def _by_our_clock(batch: Batch, now: float) -> Mapping[tuple[str, int, str], float]:
    """The recent past, no later than it was: nothing of it may come to lie behind a move that was made after it."""
    off = math.floor((now - batch.at + AGREE) / SLICE) if batch.at else 0
    return {(endpoint, slice + off, name): number for (endpoint, slice, name), number in batch.recent.items()}


def _add_up(tx: Transaction, table: str, by: str, sums: Mapping[Any, float]) -> None:
    """Add numbers to rows that are told apart by these columns."""
    for marks, values in _parts([(*key, more) for key, more in sorted(sums.items())]):
        tx.execute(
            f"INSERT INTO {table} ({by}, number) VALUES {marks} ON CONFLICT ({by}) DO UPDATE SET number = {table}.number + excluded.number",
            values,
        )


def _add_calls(tx: Transaction, batch: Batch) -> None:
    for marks, values in _parts([(*key, c.calls, c.seconds, c.first, c.last) for key, c in sorted(batch.consumers.items())]):
        tx.execute(
            f"INSERT INTO consumers (endpoint, consumer, side, day, calls, seconds, first, last) VALUES {marks}"
            " ON CONFLICT (endpoint, consumer, side, day) DO UPDATE SET"
            " calls = consumers.calls + excluded.calls, seconds = consumers.seconds + excluded.seconds,"
            " first = CASE WHEN excluded.first < consumers.first THEN excluded.first ELSE consumers.first END,"
            " last = CASE WHEN excluded.last > consumers.last THEN excluded.last ELSE consumers.last END",
            values,
        )


def _fact(tx: Transaction, row: Row, hour: int) -> Facts:
    """A day is what came after that `hour`: the present one and the 23 before it."""
    id = row["id"]
    day = tx.all("SELECT number FROM epoch_hours WHERE epoch = ? AND hour > ?", (id, hour))
    counts = tx.all("SELECT name, number FROM epoch_counts WHERE epoch = ?", (id,))
    return Facts(
        Epoch(row["endpoint"], row["build"], row["catalogue"], row["rules"]),
        row["began"],
        row["last"],
        Seen(row["modern_keys"], row["modern_differed"]),
        Seen(row["self_keys"], row["self_differed"]),
        int(sum(new["number"] for new in day)),
        {count["name"]: count["number"] for count in counts},
    )


def _parts(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """The marks and the values of statements for some rows each: bounded, as the texts of statements are kept."""
    for at in range(0, len(rows), ROWS):
        part = rows[at : at + ROWS]
        row = f"({', '.join('?' * len(part[0]))})"
        yield ", ".join([row] * len(part)), [value for values in part for value in values]
