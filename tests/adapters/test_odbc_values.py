"""What databases hold and drivers get wrong arrives as it is, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Adapter
from adapters.errors import Misread
from adapters.odbc.states import meaning, sqlstate
from fixtures import odbc
from tests import needs
from tests.adapters.odbc_asking import ask, door, statement
from tests.postgres import Cluster

BIG = 2**62 + 1


@pytest.fixture
def postgres_door(postgres: Cluster) -> Iterator[Adapter]:
    adapter = door(postgres.odbc())
    yield adapter
    adapter.close()


@pytest.fixture
def sqlite_door(tmp_path: Path) -> Iterator[Adapter]:
    """A table V of one row per way to go wrong."""
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/*/libsqlite3odbc.so")
    connection = sqlite3.connect(tmp_path / "v.db")
    connection.execute("CREATE TABLE V (N TEXT, I INTEGER, B BIGINT, D DECIMAL(15,2), R REAL, T DATE, C CHAR(8), X BLOB)")
    rows = [
        ("fine", 1, 2, "12.30", 0.5, "2024-02-29", "AB      ", None),
        ("big", 2**40, BIG, "999999999999.99", 1e300, "0001-01-01", "é€", None),
        ("bad", "abc", "1.5", "abc", "x", "20240230", "", b"\0"),
        ("lost", None, None, "123456789012345.67", None, "2024-02-30", None, None),
        ("none", None, None, None, None, None, None, None),
    ]
    connection.executemany("INSERT INTO V VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    adapter = door(f"DRIVER={odbc.driver()};Database={tmp_path / 'v.db'}")
    yield adapter
    adapter.close()


def value(adapter: Adapter, sql: str, kind: str | None = None, **params: Any) -> Any:
    """The one value of a statement, its type stated or not."""
    target = statement(sql, **({"v": kind} if kind else {}))
    (record,) = adapter.call(ask(target, **params)).records
    return record["v"]


class TestPostgreSQL:
    @pytest.mark.parametrize(
        ("sql", "expected"),
        [
            ("true", True),
            ("2::bigint ^ 40", Decimal(2**40)),
            ("4611686018427387905", BIG),
            ("12.30::numeric(15,2)", Decimal("12.30")),
            ("1234567890123456789012345.123456789::numeric", Decimal("1234567890123456789012345.123456789")),
            ("0.1::float8", Decimal("0.1")),
            ("date '0001-01-01'", date(1, 1, 1)),
            ("timestamp '2024-02-29 03:04:05.123456'", datetime(2024, 2, 29, 3, 4, 5, 123456)),
            ("'AB'::char(8)", "AB      "),
            ("'é€😀\"' || chr(92)", 'é€😀"\\'),
            ("repeat('é', 70000)", "é" * 70000),
            ("NULL::date", None),
            ("time '03:04:05'", "03:04:05"),
        ],
    )
    def test_a_value_arrives_as_it_is(self, postgres_door: Adapter, sql: str, expected: object) -> None:
        met = value(postgres_door, f"SELECT {sql} AS v")
        assert met == expected
        assert type(met) is type(expected)
        assert str(met) == str(expected)

    def test_a_time_zone_is_kept(self, postgres_door: Adapter) -> None:
        met = value(postgres_door, "SELECT timestamptz '2024-02-29 03:04:05+02' AS v")
        assert met == datetime(2024, 2, 29, 1, 4, 5, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("sql", "kind"),
        [
            ("date 'infinity'", None),
            ("date '0044-03-15 BC'", "date"),
            ("date '12020-01-01'", None),
            ("timestamp 'infinity'", None),
            ("'NaN'::numeric", None),
            ("'Infinity'::float8", "decimal"),
            ("money '12.50'", None),
            ("decode('00', 'hex')", None),
            ("array[1, 2]", None),
            ("'x'::text", "integer"),
            ("1.5", "integer"),
            ("timestamp '2024-02-29 03:04:05'", "date"),
        ],
    )
    def test_a_value_that_can_not_arrive_is_a_misread_without_it(self, postgres_door: Adapter, sql: str, kind: str | None) -> None:
        with pytest.raises(Misread) as met:
            value(postgres_door, f"SELECT {sql} AS v", kind)
        assert "column v of row 1" in met.value.detail

    def test_stated_types_hold(self, postgres_door: Adapter) -> None:
        assert value(postgres_door, "SELECT '12.30' AS v", "decimal") == Decimal("12.30")
        assert value(postgres_door, "SELECT true AS v", "boolean") is True
        assert value(postgres_door, "SELECT 1 AS v", "boolean") is True

    def test_casts_literals_and_comments_are_no_parameters(self, postgres_door: Adapter) -> None:
        sql = "SELECT /* :no ? */ ':no'::text || :yes::text AS v -- :no"
        assert value(postgres_door, sql, yes="x") == ":nox"

    def test_what_the_answer_holds_is_not_read_as_structure(self, postgres_door: Adapter) -> None:
        assert value(postgres_door, "SELECT :x || '' AS v", x='"],["\\u0000') == '"],["\\u0000'


class TestSQLite:
    @pytest.mark.parametrize(
        ("column", "row", "kind", "expected"),
        [
            ("I", "big", None, 2**40),
            ("B", "big", None, BIG),
            ("I", "fine", "integer", 1),
            ("D", "fine", "decimal", Decimal("12.3")),
            ("D", "big", "decimal", Decimal("999999999999.99")),
            ("R", "fine", None, Decimal("0.5")),
            ("R", "big", None, Decimal("1e300")),
            ("T", "fine", None, date(2024, 2, 29)),
            ("T", "big", "date", date(1, 1, 1)),
            ("C", "fine", None, "AB      "),
            ("C", "big", "text", "é€"),
            ("I", "bad", None, "abc"),  # SQLite keeps any text in any column: the truth, left to the contract
            ("T", "bad", None, "20240230"),
            ("I", "none", None, None),
            ("T", "none", "date", None),
        ],
    )
    def test_a_value_arrives_as_it_is(self, sqlite_door: Adapter, column: str, row: str, kind: str | None, expected: object) -> None:
        met = value(sqlite_door, f"SELECT {column} AS v FROM V WHERE N = :row", kind, row=row)
        assert met == expected
        assert type(met) is type(expected)

    @pytest.mark.parametrize(
        ("column", "row", "kind"),
        [
            ("I", "bad", "integer"),
            ("B", "bad", "integer"),
            ("D", "bad", "decimal"),
            ("D", "lost", "decimal"),
            ("T", "bad", "date"),
            ("T", "lost", "date"),
            ("X", "bad", None),
            ("I", "fine", "text"),
        ],
    )
    def test_a_value_that_can_not_arrive_is_a_misread_without_it(
        self, sqlite_door: Adapter, column: str, row: str, kind: str | None
    ) -> None:
        with pytest.raises(Misread) as met:
            value(sqlite_door, f"SELECT {column} AS v FROM V WHERE N = :row", kind, row=row)
        assert "column v of row 1" in met.value.detail
        assert "abc" not in met.value.detail


@pytest.mark.parametrize(
    ("state", "text", "expected", "spoils"),
    [
        ("28P01", "", "BadLogon", True),
        ("08001", 'FATAL: password authentication failed for user "x" (101) (SQLDriverConnect)', "BadLogon", True),
        ("08S01", "", "Unavailable", True),
        ("57P01", "", "Unavailable", True),
        ("40001", "", "Unavailable", False),
        ("HY000", "[HY000] [SQLite]database is locked (5) (5) (SQLExecDirectW)", "Unavailable", False),
        ("22003", "", "Refused", False),
        ("23505", "", "Conflict", False),
        ("22012", "", "Failed", False),
        ("42P01", "", "Misconfigured", False),
        ("XX000", "", "Failed", True),
        ("nonsense\n", "", "Failed", True),
    ],
)
def test_an_sqlstate_is_one_error(state: str, text: str, expected: str, spoils: bool) -> None:
    error = meaning(sqlstate(Exception(state, text)), "ledger")
    assert (type(error).__name__, error.spoils) == (expected, spoils)
    assert "\n" not in error.detail
