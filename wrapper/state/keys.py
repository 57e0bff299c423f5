"""API keys, as the store keeps them: never the secret itself. A row that was not made, or was changed, without the store's key is none."""

from __future__ import annotations

from dataclasses import replace

from wrapper.policy.keys import Caller, KeyRow, new
from wrapper.problems import NotPossible
from wrapper.state import marks
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

    def rotate(self, name: str, overlap: float) -> str:
        """A fresh key with the rights of that name's and as long a life; the others hold for `overlap` seconds more. Raises NotPossible."""
        with self._db.transaction(alone="keys") as tx:
            now = tx.wall()
            rows = tx.all(f"SELECT * FROM keys WHERE name = ? AND {_HOLDS} ORDER BY created", (name, now))
            held = [key for key in map(self._key, rows) if key.genuine]
            if not held:
                raise NotPossible(f"{name} has no key that holds; make one with `figway key new`")
            if any(row.caller != held[0].caller for row in held):
                raise NotPossible(f"{name} has keys with different rights; revoke them, and make new ones with `figway key new`")
            newest = held[-1]
            key, row = new(newest.caller)
            for old in rows:
                if old["expires"] is None or old["expires"] > now + overlap:
                    marks.change(self._seal, tx, "keys", old, expires=now + overlap)
            self._put(tx, row if newest.expires is None else replace(row, expires=now + newest.expires - newest.created))
        return key

    def key(self, id: str) -> KeyRow | None:
        with self._db.reading() as tx:
            row = tx.one("SELECT * FROM keys WHERE id = ?", (id,))
        key = None if row is None else self._key(row)
        return key if key is not None and key.genuine else None

    def all_keys(self) -> list[KeyRow]:
        """Those that are not genuine, too: nobody is known by them."""
        with self._db.reading() as tx:
            return [self._key(row) for row in tx.all("SELECT * FROM keys ORDER BY created")]

    def revoke(self, name: str) -> int:
        """How many keys of that name are revoked now that were not."""
        with self._db.transaction(alone="keys") as tx:
            rows = tx.all("SELECT * FROM keys WHERE name = ? AND revoked = 0", (name,))
            for row in rows:
                marks.change(self._seal, tx, "keys", row, revoked=1)
            tx.execute("UPDATE keys SET revoked = 1 WHERE name = ? AND revoked = 0", (name,))  # those that are not genuine
        return len(rows)

    def _put(self, tx: Transaction, row: KeyRow) -> None:
        marks.add(
            self._seal, tx, "keys",
            {"id": row.id, "digest": row.digest, **self._rights(row.caller, "keys", row.id), "created": tx.wall(), "revoked": 0,
             "expires": None if row.expires is None else float(row.expires)},
        )  # fmt: skip

    def _key(self, row: Row) -> KeyRow:
        genuine = marks.genuine(self._seal, "keys", row)
        caller = self._caller(row, "keys", row["id"]) if genuine else Caller(row["name"])
        return KeyRow(row["id"], row["digest"], caller, bool(row["revoked"]), row["expires"], row["created"], genuine)
