"""Where each endpoint stands, with the whole history: moves, and proposals that wait for a second person.

A move is a new line, never a changed one, and is there for every worker and host once it is acknowledged. Which moves are right is decided
elsewhere; here it is only made sure that nobody moves what somebody else has moved meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

from wrapper.migration.decide import Standing
from wrapper.migration.moves import Move, Proposal
from wrapper.state.database import Row, Transaction
from wrapper.state.legs import owed
from wrapper.state.table import Table

_MOVE = "endpoint, number, at, stage, share, consumers, who, second, ticket, why"
_NEWEST = (
    f"SELECT {_MOVE} FROM moves WHERE (endpoint, number) IN (SELECT endpoint, MAX(number) FROM moves GROUP BY endpoint) ORDER BY endpoint"
)
_PROPOSAL = "endpoint, at, stage, share, consumers, who, ticket, why"


class Stages(Table):
    def stages_number(self) -> int:
        """Grows with every move of any endpoint, 0 before the first: cheap enough to be asked several times a second."""
        with self._db.reading(apart="stages") as tx:
            return _number(tx)

    def standings(self) -> tuple[int, dict[str, Move]]:
        """The number, and each endpoint's newest move; one that was never moved stands at legacy. In this order: a move made in between is
        told under the number before it, so that whoever polls looks again."""
        with self._db.reading(apart="stages") as tx:
            return _number(tx), {row["endpoint"]: _move(row) for row in tx.all(_NEWEST)}

    def move(
        self,
        endpoints: Sequence[str],
        standing: Standing,
        who: str,
        why: str,
        *,
        second: str = "",
        ticket: str = "",
        expected: Mapping[str, int] | None = None,
        report: str | None = None,
        unless_owed: str | None = None,
    ) -> bool:
        """All of them at once, and their proposals are gone. False, and nothing was done, when `expected` (endpoint -> number of the newest
        move its mover has seen, 0 for none) is not true any more, or when group `unless_owed` has writes that legacy does not have yet."""
        with self._db.transaction(alone="stages") as tx:
            newest = {row["endpoint"]: int(row["number"]) for row in tx.all("SELECT endpoint, MAX(number) AS number FROM moves GROUP BY 1")}
            if any(newest.get(name, 0) != number for name, number in (expected or {}).items()):
                return False
            if unless_owed is not None and owed(tx, unless_owed):
                return False
            at = tx.wall()
            for name in sorted(set(endpoints)):
                tx.execute(
                    f"INSERT INTO moves ({_MOVE}, report) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (name, newest.get(name, 0) + 1, at, *_plain(standing), who, second, ticket, why, report),
                )
                tx.execute("DELETE FROM proposals WHERE endpoint = ?", (name,))
            tx.execute(
                "INSERT INTO generations (name, number) VALUES ('stages', 1)"
                " ON CONFLICT (name) DO UPDATE SET number = generations.number + 1"
            )
        return True

    def moves(self, endpoint: str | None = None, limit: int = 100) -> list[Move]:
        """The newest first, of one endpoint or of all."""
        one, values = ("", ()) if endpoint is None else ("WHERE endpoint = ?", (endpoint,))
        order = "at DESC, endpoint, number DESC" if endpoint is None else "number DESC"
        with self._db.reading() as tx:
            return [_move(row) for row in tx.all(f"SELECT {_MOVE} FROM moves {one} ORDER BY {order} LIMIT ?", (*values, limit))]

    def report(self, endpoint: str, number: int) -> str | None:
        """The evidence report that a move was made on, None where there is none."""
        with self._db.reading() as tx:
            row = tx.one("SELECT report FROM moves WHERE (endpoint, number) = (?, ?)", (endpoint, number))
        return None if row is None else row["report"]

    def propose(self, proposal: Proposal) -> None:
        """In place of an earlier one for the same endpoint."""
        p = proposal
        others = ", ".join(f"{name} = excluded.{name}" for name in _PROPOSAL.split(", ")[1:])
        with self._db.transaction() as tx:
            tx.execute(
                f"INSERT INTO proposals ({_PROPOSAL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (endpoint) DO UPDATE SET {others}",
                (p.endpoint, p.at, *_plain(p.standing), p.who, p.ticket, p.why),
            )

    def proposal(self, endpoint: str) -> Proposal | None:
        return next((p for p in self.proposals() if p.endpoint == endpoint), None)

    def proposals(self) -> list[Proposal]:
        """The oldest first."""
        with self._db.reading() as tx:
            rows = tx.all(f"SELECT {_PROPOSAL} FROM proposals ORDER BY at, endpoint")
        return [Proposal(r["endpoint"], r["at"], _standing(r), r["who"], r["ticket"], r["why"]) for r in rows]

    def withdraw(self, endpoint: str) -> bool:
        """Whether there was a proposal."""
        with self._db.transaction() as tx:
            return bool(tx.execute("DELETE FROM proposals WHERE endpoint = ?", (endpoint,)).rowcount)


def _number(tx: Transaction) -> int:
    row = tx.one("SELECT number FROM generations WHERE name = 'stages'")
    return 0 if row is None else int(row["number"])


def _plain(standing: Standing) -> tuple[str, str, str]:
    """The columns of a standing; shares are texts, since they are exact."""
    shares = {name: str(share) for name, share in sorted(standing.consumers.items())}
    return standing.stage, str(standing.share), json.dumps(shares)


def _standing(row: Row) -> Standing:
    shares = {name: Decimal(share) for name, share in json.loads(row["consumers"]).items()}
    return Standing(row["stage"], Decimal(row["share"]), shares)


def _move(row: Row) -> Move:
    return Move(row["endpoint"], row["number"], row["at"], _standing(row), row["who"], row["second"], row["ticket"], row["why"])
