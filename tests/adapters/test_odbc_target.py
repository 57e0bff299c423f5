"""What a block of kind `odbc` may say, and the sentence for what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import BadTarget
from adapters.odbc.sql import BadSql, parse
from tests.adapters.odbc_asking import ENTRIES, compiled

PAGED: dict[str, Any] = {"page_by": "k", "columns": {"k": "text"}}


def test_a_block_tells_what_it_uses_and_gives() -> None:
    target = compiled(ENTRIES)
    assert target.uses == {"customer_id"}
    assert target.gives == {"entry", "customer", "booked", "amount", "kind", "text"}


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT a, t.b, 1 + 2 AS c FROM t", ("a", "b", "c")),
        ('select "A b", COALESCE(x, (SELECT y FROM u)) AS "C d" from t', ("A b", "C d")),
        ("SELECT DISTINCT a FROM t", ("a",)),
        ("SELECT CASE WHEN a IS DISTINCT FROM b THEN 1 END AS c, EXTRACT(YEAR FROM d) AS y FROM t", ("c", "y")),
        ("WITH x AS (SELECT q FROM t) SELECT q AS r FROM x UNION SELECT z FROM y", ("r",)),
        ("-- SELECT no\nSELECT a /* , no */ FROM t", ("a",)),
        ("SELECT ', FROM ' AS a FROM t", ("a",)),
    ],
)
def test_column_names_are_known(sql: str, names: tuple[str, ...]) -> None:
    assert parse(sql).names == names


@pytest.mark.parametrize(
    ("sql", "text", "params"),
    [
        ("SELECT a FROM t WHERE b = :x AND c = :y", "SELECT a FROM t WHERE b = ? AND c = ?", ("x", "y")),
        ("SELECT a FROM t WHERE b = ':x' AND c = :x::int", "SELECT a FROM t WHERE b = ':x' AND c = ?::int", ("x",)),
        ("SELECT a FROM t WHERE b = 'it''s :x' -- :y\nAND c = :z", "SELECT a FROM t WHERE b = 'it''s :x'  \nAND c = ?", ("z",)),
        ('SELECT a FROM ":t" WHERE b = :x /* :y */', 'SELECT a FROM ":t" WHERE b = ?', ("x",)),
    ],
)
def test_values_are_bound_outside_of_literals_names_comments_and_casts(sql: str, text: str, params: tuple[str, ...]) -> None:
    assert (parse(sql).text, parse(sql).params) == (text, params)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT a FROM t;", "without a ';'"),
        ("SELECT a FROM t; DELETE FROM t", "without a ';'"),
        ("SELECT a FROM t WHERE b = ?", "as :name"),
        ("SELECT a FROM t WHERE b = 'x", "' is never closed"),
        ('SELECT "a FROM t', '" is never closed'),
        ("SELECT a FROM t /* x", "/* is never closed"),
        ("SELECT a FROM t /* /* x */", "inside of a comment"),
        ("SELECT a FROM t WHERE b = 'x\\'", "backslash"),
        ("SELECT $$a$$ AS a", "$-quoted"),
        ("SELECT (a FROM t", "parentheses"),
        ("SELECT a) FROM (t", "parentheses"),
        ("SELECT * FROM t", "name the columns"),
        ("SELECT t.* FROM t", "name the columns"),
        ("SELECT COUNT(*) FROM t", "AS name"),
        ("SELECT a, b AS a FROM t", "two columns are called a"),
        ("DROP TABLE t", "starts with SELECT"),
        ("WITH x AS (SELECT b FROM t) INSERT INTO t SELECT b FROM x", "a WITH that writes"),
        ("", "starts with SELECT"),
        ("EXPLAIN SELECT a FROM t", "starts with SELECT"),
    ],
)
def test_what_can_not_be_told_safely_is_refused(sql: str, reason: str) -> None:
    with pytest.raises(BadSql) as met:
        parse(sql)
    assert reason in str(met.value)


@pytest.mark.parametrize(
    ("block", "path", "reason"),
    [
        ({"sql": "UPDATE t SET a = 1"}, ("sql",), "read_only"),
        ({"sql": "SELECT a FROM t", "columns": {"b": "text"}}, ("columns", "b"), "no column 'b', only a"),
        ({"sql": "SELECT a FROM t WHERE a > :after"}, ("sql",), "state page_by"),
        ({"sql": "SELECT a FROM t", "page_by": "k"}, ("page_by",), "no column 'k', only a"),
        ({"sql": "SELECT k FROM t WHERE k > :after ORDER BY k", "page_by": "k"}, ("page_by",), "columns: {k: text}"),
        ({"sql": "SELECT k FROM t ORDER BY k", **PAGED}, ("sql",), "k > :after"),
        ({"sql": "SELECT k FROM t WHERE k > :after", **PAGED}, ("sql",), "ORDER BY k"),
        ({"sql": "SELECT k, a FROM t WHERE k > :after ORDER BY a, k", **PAGED}, ("sql",), "ORDER BY k"),
        ({"sql": "SELECT k FROM (SELECT k FROM t ORDER BY k) AS u WHERE k > :after", **PAGED}, ("sql",), "ORDER BY k"),
        ({"sql": "SELECT k FROM t WHERE k > :after ORDER BY k DESC", **PAGED}, ("sql",), "upwards"),
        ({"sql": "SELECT k FROM t WHERE k > :after ORDER BY k LIMIT 5", **PAGED}, ("sql",), "no LIMIT"),
    ],
)
def test_a_faulty_block_says_where_and_what(block: dict[str, Any], path: tuple[str, ...], reason: str) -> None:
    with pytest.raises(BadTarget) as met:
        compiled(block)
    assert [fault.path for fault in met.value.faults] == [path]
    assert reason in met.value.faults[0].message


@pytest.mark.parametrize("order", ["k", "K ASC", "POLNO", "p.POLNO NULLS LAST", '"k"'])
def test_paging_order_may_name_the_column_or_what_is_behind_it(order: str) -> None:
    behind = "p.POLNO" if "p." in order else "POLNO"
    sql = f"SELECT {behind} AS k FROM POLICY p WHERE POLNO > :after ORDER BY {order}"
    assert compiled({"sql": sql, **PAGED}).page_by == 0
