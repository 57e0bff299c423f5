"""Rows that let somebody in carry a mark made with the store's key: who can write to the tables and has not the key's file can make no such
row, and change none.

A mark covers all that says who it is, how that is shown, what they may and until when. What it can't tell is a whole row that was there
before, with its mark, and is put back.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from wrapper import log
from wrapper.state.database import Row, Transaction
from wrapper.state.seal import Seal

SINCE = 5
"""The version of the schema from which on rows have marks: keys of a version before are marked when their store is upgraded."""
_RIGHTS = ("name", "scopes", "purposes", "claims", "tenant")
_COVERED: Mapping[str, tuple[str, ...]] = {
    "keys": ("id", "digest", *_RIGHTS, "created", "expires", "revoked"),
    "clients": (*_RIGHTS, "proof", "material", "redirects"),
    "people": (*_RIGHTS, "password"),
    "codes": ("digest", "client", "person", "scopes", "redirect", "challenge", "until"),
    "families": ("id", "code", "client", "person", "scopes", "token", "until"),
}
"""What is covered, first what names the row."""


def genuine(seal: Seal, table: str, row: Row) -> bool:
    """Whether a row is as Figway has made it. Of one that is not the log tells once."""
    if hmac.compare_digest(str(row["mark"]).encode(), _mark(seal, table, row).encode()):
        return True
    _tell(table, row[_COVERED[table][0]])
    return False


def add(seal: Seal, tx: Transaction, table: str, row: Mapping[str, Any]) -> None:
    """Insert a row with its mark."""
    row = {**row, "mark": _mark(seal, table, row)}
    tx.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def change(seal: Seal, tx: Transaction, table: str, row: Row, **new: Any) -> int:
    """Change what is covered of a row that is genuine, and as it was read: else nothing, 0."""
    if not genuine(seal, table, row):
        return 0
    new["mark"] = _mark(seal, table, {**dict(row), **new})
    id = _COVERED[table][0]
    where = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in new)} WHERE {id} = ? AND mark = ?"
    return tx.execute(where, (*new.values(), row[id], row["mark"])).rowcount


def mark_old(seal: Seal, tx: Transaction) -> int:
    """Keys of a version before are taken as they are, this once; how many that were."""
    rows = tx.all("SELECT * FROM keys")
    for row in rows:
        tx.execute("UPDATE keys SET mark = ? WHERE id = ?", (_mark(seal, "keys", row), row["id"]))
    return len(rows)


def _mark(seal: Seal, table: str, row: Row) -> str:
    covered = json.dumps([table, *(row[name] for name in _COVERED[table])])
    return hmac.digest(seal.derived("rights"), covered.encode(), "sha256").hex()


@lru_cache(maxsize=1000)
def _tell(table: str, id: str) -> None:
    log.get().error("state", outcome="refused", detail=f"this row of {table} was not made by Figway, or was changed: {id}")
