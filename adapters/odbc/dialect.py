"""What differs between databases: how a session is made safe and bounded, and how an answer is asked for without loss.

PostgreSQL: psqlODBC turns `infinity` into today's date, booleans into '1', drops time zones and the era. So rows are asked for as JSON
arrays, which the server itself writes; that costs no more for one row and 1.6 times as much for 500 (measured), and a
data-modifying WITH is refused there by the grammar. The order of a sub-select is kept by PostgreSQL where nothing else re-orders.
SQLite: its driver gives 0 for 2**40 in an INTEGER column and None for a bad date. As text (output converters) all is truthful, except
that a number with a point carries 15 digits. It waits for a lock up to twice as long as it was told at connect, and
can't be interrupted in that.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import pyodbc

from adapters.errors import Misconfigured
from adapters.odbc.sql import Statement
from adapters.odbc.values import from_text

Ask = Callable[..., Sequence[Sequence[Any]]]
"""ask(sql) -> rows, bounded: how a dialect talks to its server while a session is set up."""


_JSON = json.JSONDecoder(parse_float=Decimal)
_SQLITE = {
    **dict.fromkeys(("INTEGER", "BIGINT", "SMALLINT", "TINYINT"), "integer"),
    **dict.fromkeys(("DOUBLE", "FLOAT", "REAL", "NUMERIC", "DECIMAL"), "decimal"),
    "BIT": "boolean", "TYPE_DATE": "date", "TYPE_TIME": "text", "TYPE_TIMESTAMP": "datetime",
}  # fmt: skip
"""The driver's column types -> the kind that their text is."""


class Dialect(Protocol):
    """One kind of database. `digits` is how many significant ones survive in a number with a point; None is all."""

    digits: int | None

    def begin(self, connection: Any, ask: Ask, *, read_only: bool, lock_timeout: float) -> None:
        """Make a new session safe. Raises Misconfigured when the server does not confirm that it is read only."""

    def limit(self, left: float) -> str:
        """A statement that makes the server give up before `left` seconds are over; '' when it knows none."""

    def select(self, statement: Statement, most: int) -> str:
        """The statement, for at most so many rows."""

    def rows(self, fetched: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """What the driver fetched -> values by column."""

    def describe(self, statement: Statement) -> str:
        """A statement whose columns have the types of this one's; '' when the answer's own description will do."""


class Standard:
    """A database that we have no special knowledge of: driver's values, standard SQL."""

    digits: int | None = None

    def begin(self, connection: Any, ask: Ask, *, read_only: bool, lock_timeout: float) -> None:
        if read_only:
            raise Misconfigured(
                "read_only can be verified on PostgreSQL and SQLite only: use a login that can't write, and read_only: false"
            )

    def limit(self, left: float) -> str:
        return ""

    def select(self, statement: Statement, most: int) -> str:
        return statement.text if statement.limited else f"{statement.text}\nFETCH FIRST {most} ROWS ONLY"

    def rows(self, fetched: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        return fetched

    def describe(self, statement: Statement) -> str:
        return ""


class PostgreSQL(Standard):
    def begin(self, connection: Any, ask: Ask, *, read_only: bool, lock_timeout: float) -> None:
        ask(f"SET default_transaction_read_only = {'on' if read_only else 'off'}")
        ask(f"SET lock_timeout = {_milliseconds(lock_timeout)}")
        if [tuple(row) for row in ask("SHOW transaction_read_only")] != [("on" if read_only else "off",)]:
            raise Misconfigured("the server did not confirm whether the session is read only")

    def limit(self, left: float) -> str:
        return f"SET statement_timeout = {_milliseconds(_rounded(left))}"

    def select(self, statement: Statement, most: int) -> str:
        columns = _columns(statement)
        return f"SELECT json_build_array({columns})::text FROM (\n{statement.text}\n) AS answer({columns}) LIMIT {most}"  # noqa: S608 - the catalogue's own text

    def rows(self, fetched: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        rows: list[list[Any]] = _JSON.decode(f"[{','.join(row[0] for row in fetched)}]")
        return rows

    def describe(self, statement: Statement) -> str:
        return f"SELECT * FROM (\n{statement.text}\n) AS answer({_columns(statement)}) LIMIT 0"  # noqa: S608


class SQLite(Standard):
    digits = 14

    def begin(self, connection: Any, ask: Ask, *, read_only: bool, lock_timeout: float) -> None:
        ask(f"PRAGMA query_only = {int(read_only)}")
        if [tuple(row) for row in ask("PRAGMA query_only")] != [(int(read_only),)]:
            raise Misconfigured("SQLite did not confirm whether the session is read only")
        for name, kind in _SQLITE.items():
            connection.add_output_converter(getattr(pyodbc, f"SQL_{name}"), from_text(kind))

    def select(self, statement: Statement, most: int) -> str:
        return statement.text if statement.limited else f"{statement.text}\nLIMIT {most}"


def verified(keys: Mapping[str, str]) -> bool | None:
    """Whether a connection string (its keys in capitals) asks for TLS and for a verified certificate; None where it is psqlODBC's and says
    nothing. A driver that we do not know does not."""
    driver = keys.get("DRIVER", "").lower()
    if "psql" in driver or "postgres" in driver:
        options = keys.get("PQOPT", "").lower()
        stated = [keys[key].lower() for key in ("SSLMODE", "CA") if key in keys] + re.findall(r"sslmode\s*=\s*'?([a-z-]*)", options)
        return all(mode == "verify-full" for mode in stated) if stated else None
    if "sql server" in driver or "msodbcsql" in driver:
        trusts = keys.get("TRUSTSERVERCERTIFICATE", "no").lower() in ("yes", "true", "1")
        return keys.get("ENCRYPT", "").lower() in ("yes", "true", "mandatory", "strict") and not trusts
    return "db2" in driver and keys.get("SECURITY", "").lower() == "ssl"


def of(product: str) -> Dialect:
    """By the name that the driver reports (SQL_DBMS_NAME)."""
    return {"PostgreSQL": PostgreSQL, "SQLite": SQLite}.get(product, Standard)()


def _columns(statement: Statement) -> str:
    """Columns by position: names need no quoting then, and letter case can't differ."""
    return ", ".join(f"c{n}" for n in range(1, len(statement.names) + 1))


def _rounded(left: float) -> float:
    """Down to a quarter of a second, so that calls with the same deadline seldom need to set it anew."""
    return max(math.floor(left * 4 - 0.2) / 4, 0.1)


def _milliseconds(seconds: float) -> int:
    return max(int(seconds * 1000), 1)
