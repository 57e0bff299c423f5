"""How much is open in the store: what an operator is to be told of, counted over the indexes of what is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wrapper.state.legs import OPEN
from wrapper.state.table import Table

_JOBS = """
SELECT state, COUNT(*) AS many, MIN(created) AS oldest, SUM(CASE WHEN expect_by < ? THEN 1 ELSE 0 END) AS overdue FROM jobs
WHERE state IN ('accepted', 'publishing', 'published', 'unknown', 'failed', 'poisoned') GROUP BY state
"""
_OPEN = ("accepted", "publishing", "published", "unknown")


@dataclass(frozen=True, slots=True)
class Counted:
    """Jobs by state, those without the replied ones; of the open ones how many are past their time, and the age of the oldest; writes
    whose outcome is unknown; open legs by state."""

    jobs: Mapping[str, int]
    overdue: int
    oldest: float
    unknown_writes: int
    legs: Mapping[str, int]


class Census(Table):
    def census(self) -> Counted:
        """At this moment."""
        with self._db.reading() as tx:
            now = tx.wall()
            rows = {row["state"]: row for row in tx.all(_JOBS, (now,))}
            unknown = tx.one("SELECT COUNT(*) AS many FROM writes WHERE state = 'unknown'")
            legs = tx.all(f"SELECT state, COUNT(*) AS many FROM legs WHERE state IN {OPEN} GROUP BY state")
        waiting = [row for state, row in rows.items() if state in _OPEN]
        return Counted(
            {state: int(row["many"]) for state, row in rows.items()},
            sum(int(row["overdue"]) for row in waiting),
            max([0.0, *(now - row["oldest"] for row in waiting)]),
            int(unknown["many"]) if unknown is not None else 0,
            {row["state"]: int(row["many"]) for row in legs},
        )
