"""API keys, as the store keeps them: never the secret itself."""

from __future__ import annotations

import json

from wrapper.policy.keys import Caller, KeyRow, new
from wrapper.state.database import Row
from wrapper.state.table import Table


class Keys(Table):
    def issue(self, caller: Caller) -> str:
        """A fresh key as the caller will send it: shown once, known again by what is stored of it."""
        key, row = new(caller)
        self.put_key(row)
        return key

    def put_key(self, row: KeyRow) -> None:
        c = row.caller
        claims = {name: sorted(values) for name, values in c.claims.items()}
        with self._db.transaction() as tx:
            tx.execute(
                "INSERT INTO keys (id, digest, name, scopes, purposes, claims, created, tenant) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id,
                    row.digest,
                    c.name,
                    " ".join(sorted(c.scopes)),
                    " ".join(sorted(c.purposes)),
                    json.dumps(claims),
                    tx.wall(),
                    c.tenant,
                ),
            )

    def key(self, id: str) -> KeyRow | None:
        with self._db.reading() as tx:
            row = tx.one("SELECT * FROM keys WHERE id = ?", (id,))
        return None if row is None else _key(row)

    def all_keys(self) -> list[KeyRow]:
        with self._db.reading() as tx:
            return [_key(row) for row in tx.all("SELECT * FROM keys ORDER BY created")]

    def revoke(self, name: str) -> int:
        """How many keys of that name are revoked now that were not."""
        with self._db.transaction() as tx:
            return tx.execute("UPDATE keys SET revoked = 1 WHERE name = ? AND revoked = 0", (name,)).rowcount


def _key(row: Row) -> KeyRow:
    claims = {name: frozenset(values) for name, values in json.loads(row["claims"]).items()}
    caller = Caller(row["name"], frozenset(row["scopes"].split()), frozenset(row["purposes"].split()), claims, row["tenant"])
    return KeyRow(row["id"], row["digest"], caller, bool(row["revoked"]))
