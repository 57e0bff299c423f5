"""API keys, as the store keeps them: never the secret itself."""

from __future__ import annotations

from dataclasses import replace

from wrapper.policy.keys import Caller, KeyRow, new
from wrapper.problems import NotPossible
from wrapper.state.database import Row, Transaction
from wrapper.state.table import Table

_HOLDS = "revoked = 0 AND (expires IS NULL OR expires > ?)"


class Keys(Table):
    def issue(self, caller: Caller, lasts: float | None = None) -> str:
        """A fresh key as the caller will send it: shown once, known again by what is stored of it. It holds for `lasts` seconds, or on."""
        key, row = new(caller)
        with self._db.transaction() as tx:
            self._put(tx, row if lasts is None else replace(row, expires=tx.wall() + lasts))
        return key

    def put_key(self, row: KeyRow) -> None:
        with self._db.transaction() as tx:
            self._put(tx, row)

    def rotate(self, name: str, overlap: float) -> str:
        """A fresh key with the rights of that name's and as long a life; the others hold for `overlap` seconds more. Raises NotPossible."""
        with self._db.transaction(alone="keys") as tx:
            now = tx.wall()
            held = [self._key(row) for row in tx.all(f"SELECT * FROM keys WHERE name = ? AND {_HOLDS} ORDER BY created", (name, now))]
            if not held:
                raise NotPossible(f"{name} has no key that holds; make one with `figway key new`")
            if any(row.caller != held[0].caller for row in held):
                raise NotPossible(f"{name} has keys with different rights; revoke them, and make new ones with `figway key new`")
            newest = held[-1]
            key, row = new(newest.caller)
            tx.execute(
                f"UPDATE keys SET expires = ? WHERE name = ? AND {_HOLDS} AND (expires IS NULL OR expires > ?)",
                (now + overlap, name, now, now + overlap),
            )
            self._put(tx, row if newest.expires is None else replace(row, expires=now + newest.expires - newest.created))
        return key

    def key(self, id: str) -> KeyRow | None:
        with self._db.reading() as tx:
            row = tx.one("SELECT * FROM keys WHERE id = ?", (id,))
        return None if row is None else self._key(row)

    def all_keys(self) -> list[KeyRow]:
        with self._db.reading() as tx:
            return [self._key(row) for row in tx.all("SELECT * FROM keys ORDER BY created")]

    def revoke(self, name: str) -> int:
        """How many keys of that name are revoked now that were not."""
        with self._db.transaction() as tx:
            return tx.execute("UPDATE keys SET revoked = 1 WHERE name = ? AND revoked = 0", (name,)).rowcount

    def _put(self, tx: Transaction, row: KeyRow) -> None:
        caller = row.caller
        claims = self._closed_claims(caller.claims, "keys", row.id)
        scopes, purposes = " ".join(sorted(caller.scopes)), " ".join(sorted(caller.purposes))
        tx.execute(
            "INSERT INTO keys (id, digest, name, scopes, purposes, claims, created, tenant, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row.id, row.digest, caller.name, scopes, purposes, claims, tx.wall(), caller.tenant, row.expires),
        )

    def _key(self, row: Row) -> KeyRow:
        claims = self._open_claims(row["claims"], "keys", row["id"])
        caller = Caller(row["name"], frozenset(row["scopes"].split()), frozenset(row["purposes"].split()), claims, row["tenant"])
        return KeyRow(row["id"], row["digest"], caller, bool(row["revoked"]), row["expires"], row["created"])
