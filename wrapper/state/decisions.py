"""The decisions table: what was decided of whom by a model's score, and the review of it by a person. Inputs, reasons and words are sealed.

A decision is made once: the same facts about the same subject, asked by the same caller on the same day, are the same one. So its id is a
keyed fingerprint of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from wrapper.state.database import Row
from wrapper.state.records import Decision, Review
from wrapper.state.subjects import fingerprints
from wrapper.state.table import Table
from wrapper.subjects import Subject

_COLUMNS = "id, principal, tenant, operation, model, catalogue, created, sealed, review, asked_by, words, reviewer, why, changed, subject"


class Decisions(Table):
    def add_decision(
        self, principal: str, tenant: str, operation: str, model: str, catalogue: str, subjects: Sequence[Subject], made: Mapping[str, Any]
    ) -> str:
        """Its id, once it is on record; `made` is what was decided, by which features, and why. Raises NotReady."""
        about = [principal, operation, model, catalogue, [[s.kind, s.value] for s in subjects]]
        id = self._seal.fingerprint(["decision", about, made, time.strftime("%Y-%m-%d", time.gmtime())])[:32]
        with self._db.transaction() as tx:
            values = (id, principal, tenant, fingerprints(self._seal, subjects), operation, model, catalogue, tx.wall())
            tx.execute(
                "INSERT INTO decisions (id, principal, tenant, subject, operation, model, catalogue, created, changed, sealed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (*values, values[-1], self._seal.close(dict(made), "decisions.sealed", id)),
            )
        return id

    def decision(self, id: str) -> Decision | None:
        with self._db.reading() as tx:
            row = tx.one(f"SELECT {_COLUMNS} FROM decisions WHERE id = ?", (id,))
        return None if row is None else self._decision(row)

    def decisions(
        self,
        tenant: str | None,
        review: Review | None = None,
        limit: int = 50,
        *,
        model: str | None = None,
        since: float | None = None,
        before: Decision | None = None,
    ) -> list[Decision]:
        """The newest first, of one tenant or (None) of all, of one state of review or of any; those that come after `before`."""
        wanted = {"tenant = ?": tenant, "review = ?": review, "model = ?": model, "created >= ?": since}
        told: dict[str, Any] = {condition: value for condition, value in wanted.items() if value is not None}
        values = [*told.values(), *([before.created, before.created, before.id] if before is not None else []), limit]
        conditions = [*told, *(["(created < ? OR (created = ? AND id > ?))"] if before is not None else [])]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        with self._db.reading() as tx:
            rows = tx.all(f"SELECT {_COLUMNS} FROM decisions{where} ORDER BY created DESC, id LIMIT ?", values)
        return [self._decision(row) for row in rows]

    def ask_review(self, id: str, who: str, words: str) -> bool:
        """Whether it is open now by this: once only."""
        with self._db.transaction() as tx:
            values = (who, self._seal.close(words, "decisions.words", id), tx.wall(), id)
            done = tx.execute(
                "UPDATE decisions SET review = 'open', asked_by = ?, words = ?, changed = ? WHERE id = ? AND review = ''", values
            )
        return done.rowcount == 1

    def end_review(self, id: str, who: str, outcome: Review, why: str) -> bool:
        """Whether it was open, and asked by somebody else."""
        with self._db.transaction() as tx:
            values = (outcome, who, self._seal.close(why, "decisions.why", id), tx.wall(), id, who)
            done = tx.execute(
                "UPDATE decisions SET review = ?, reviewer = ?, why = ?, changed = ? WHERE id = ? AND review = 'open' AND asked_by <> ?",
                values,
            )
        return done.rowcount == 1

    def _decision(self, row: Row) -> Decision:
        id = row["id"]
        words, why = (None if row[name] is None else self._seal.open(row[name], f"decisions.{name}", id) for name in ("words", "why"))
        return Decision(
            id, row["principal"], row["tenant"], row["operation"], row["model"], row["catalogue"], row["created"],
            self._seal.open(row["sealed"], "decisions.sealed", id), row["review"], row["asked_by"], words, row["reviewer"], why,
            row["changed"], row["subject"],
        )  # fmt: skip
