"""Generation numbers: what was read under one number is stale under the next. Writes count them up for what they invalidate."""

from __future__ import annotations

from collections.abc import Sequence

from wrapper.state.database import BOUND, Transaction
from wrapper.state.table import Table


class Generations(Table):
    def generation(self, names: Sequence[str]) -> tuple[int, ...]:
        """The present number of each of `names`, in their order; 0 before the first bump. One read."""
        with self._db.reading() as tx:
            rows = tx.all(f"SELECT name, number FROM generations WHERE name IN ({', '.join('?' * len(names))})", names) if names else []
        found = {row["name"]: row["number"] for row in rows}
        return tuple(found.get(name, 0) for name in names)

    def bump(self, names: Sequence[str], within: float = BOUND) -> None:
        """Count each of `names` up by one."""
        with self._db.transaction(within=within) as tx:
            bumped(tx, names)


def bumped(tx: Transaction, names: Sequence[str]) -> None:
    """Within a transaction: what it changes and the new numbers appear together. In one order, so that two can't wait for each other."""
    for name in sorted(set(names)):
        tx.execute(
            "INSERT INTO generations (name, number) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET number = generations.number + 1", (name,)
        )
