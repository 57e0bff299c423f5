"""Short ways to ask the ODBC adapter, for its tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from adapters.base import Adapter, Call, Events, Record
from adapters.events import SILENT
from adapters.odbc import adapter as live
from adapters.odbc.target import OdbcTarget, compile
from fixtures.odbc import Entry, Income

INCOME: Mapping[str, Any] = {
    "sql": "SELECT INCM AS income, EXPN AS expenses, UPDDT AS updated, CUSTNO AS customer FROM INCOME WHERE CUSTNO = :customer_id",
    "columns": {"income": "decimal", "expenses": "decimal", "updated": "date", "customer": "text"},
}
ENTRIES: Mapping[str, Any] = {
    "sql": "SELECT ENTNO AS entry, CUSTNO AS customer, BOOKDT AS booked, AMT AS amount, KIND AS kind, REFTXT AS text FROM ENTRY "
    "WHERE CUSTNO = :customer_id AND ENTNO > :after ORDER BY ENTNO",
    "page_by": "entry",
    "page_size": 50,
    "columns": {"entry": "integer", "customer": "text", "booked": "date", "amount": "decimal", "kind": "text", "text": "text"},
}


def door(dsn: str, events: Events = SILENT, **system: Any) -> Adapter:
    """An adapter for the database behind a connection string."""
    return live.open("ledger", {"dsn": dsn, **system}, None, None, events)  # type: ignore[arg-type]


def compiled(block: Mapping[str, Any], **system: Any) -> OdbcTarget:
    """A block, as the catalogue loader would compile it."""
    return compile(block, {"dsn": "env:X", **system}, files=None)  # type: ignore[arg-type]


def statement(sql: str, **columns: str) -> OdbcTarget:
    """A plain statement with stated columns."""
    return compiled({"sql": sql, "columns": columns})


def ask(target: OdbcTarget, seconds: float = 5.0, effect: Any = "read", **params: Any) -> Call:
    """A call of it."""
    return Call("test", target, params, time.monotonic() + seconds, effect=effect)


def entry_of(record: Record) -> Entry:
    """A record without the padding of its CHAR columns, which must be there."""
    assert [len(record[name]) for name in ("customer", "kind", "text")] == [12, 4, 30]
    return Entry(
        record["entry"], record["customer"].rstrip(), record["booked"], record["amount"], record["kind"].rstrip(), record["text"].rstrip()
    )


def income_of(record: Record) -> Income:
    return Income(record["customer"].rstrip(), record["income"], record["expenses"], record["updated"])
