"""Token buckets in the store, so that all workers and hosts share one limit. What a draw takes is decided in policy/bucket.py."""

from __future__ import annotations

import json
from typing import Any

from wrapper.policy import bucket
from wrapper.policy.bucket import Bucket, Draw, Drawn, Taker
from wrapper.state.database import BOUND, Row
from wrapper.state.table import Table

SWEPT = 60.0  # seconds between two looks for buckets that are full: those need no row


class Buckets(Table):
    _swept = 0.0

    def draw(self, name: str, asked: Draw, within: float = BOUND) -> Drawn:
        """Tokens of the bucket of this name; the same for all who share the store."""
        with self._db.transaction(alone=f"bucket {name}", within=within, apart="buckets") as tx:
            now = tx.now()
            row = tx.one("SELECT level, at, told FROM buckets WHERE name = ?", (name,))
            after, drawn = bucket.draw(None if row is None else _bucket(row), asked, now)
            tx.execute(
                "INSERT INTO buckets (name, level, at, full_at, told) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " level = excluded.level, at = excluded.at, full_at = excluded.full_at, told = excluded.told",
                (name, after.level, after.at, bucket.full_at(after, asked.rate), _told(after)),
            )
            if now - self._swept > SWEPT or now < self._swept:
                self._swept = now
                tx.execute("DELETE FROM buckets WHERE full_at < ?", (now,))
        return drawn

    def buckets(self) -> dict[str, float]:
        """What was left of each when it was last drawn from; those that are not named are full."""
        with self._db.reading() as tx:
            return {row["name"]: max(row["level"], 0.0) for row in tx.all("SELECT name, level FROM buckets ORDER BY name")}


def _bucket(row: Row) -> Bucket:
    told: dict[str, Any] = json.loads(row["told"])
    takers = {name: Taker(*taker) for name, taker in told["takers"].items()}
    return Bucket(row["level"], row["at"], {key: (n, until) for key, (n, until) in told["out"].items()}, takers, told["since"])


def _told(of: Bucket) -> str:
    takers = {name: (taker.priority, taker.asked, taker.taken) for name, taker in of.takers.items()}
    return json.dumps({"out": of.out, "takers": takers, "since": of.since})
