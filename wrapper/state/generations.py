"""Generation numbers: what was read under one number is stale under the next. Writes count them up for what they invalidate."""

from __future__ import annotations

from collections.abc import Sequence

from wrapper.state.database import BOUND, Transaction
from wrapper.state.table import Table


class Generations(Table):
    def generation(self, name: str, writers: Sequence[str] = ()) -> int | None:
        """The present number of `name`, 0 before the first bump; None while a write by one of the operations `writers` goes on, or its end
        has not been recorded. In this order: a write that begins in between counts the number up."""
        under_way = f"SELECT 1 FROM writes WHERE state = 'reserved' AND operation IN ({', '.join('?' * len(writers))}) LIMIT 1"
        with self._db.reading() as tx:
            row = tx.one("SELECT number FROM generations WHERE name = ?", (name,))
            if writers and tx.one(under_way, writers) is not None:
                return None
        return 0 if row is None else int(row["number"])

    def bump(self, names: Sequence[str], within: float = BOUND) -> None:
        """Count each of `names` up by one: in one order, so that two can't wait for each other."""
        with self._db.transaction(within=within) as tx:
            for name in sorted(set(names)):
                count_up(tx, name)


def count_up(tx: Transaction, name: str) -> None:
    """One of them."""
    change = "INSERT INTO generations (name, number) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET number = generations.number + 1"
    tx.execute(change, (name,))
