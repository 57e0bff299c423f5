"""SQL: values that would be statements, statements of a catalogue that would be more than one, and sessions that would write."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from adapters.base import Call
from fixtures.odbc import driver
from tests.adapters.odbc_asking import compiled, door
from tests.attack.parts import Attack, Control, Seen, control, same

SESSION, SQL, DIALECT, ADAPTER = "adapters.odbc.session", "adapters.odbc.sql", "adapters.odbc.dialect", "adapters.odbc.adapter"
PASTED = """cursor.execute(__import__("functools").reduce(lambda text, value: text.replace("?", f"'{value}'", 1), values, sql))"""
BOUND = control("values are bound", (SESSION, "cursor.execute(sql, *values)", PASTED))
READ_ONLY = control(
    "a read is told from a write, and sessions are read only",
    (SQL, 'if first == "WITH" and any(t.word() in _WRITES for t in top):', "if False:"),
    (DIALECT, 'ask(f"PRAGMA query_only = {int(read_only)}")', "pass"),
    (DIALECT, 'if [tuple(row) for row in ask("PRAGMA query_only")] != [(int(read_only),)]:', "if False:"),
)
EFFECT = control("a read does not write", (ADAPTER, 'if call.effect == "read":', "if False:"))
VERBS = control(
    "statements begin with a known word",
    (SQL, "if first not in {", 'if first == "" and first not in {'),
    (SQL, "if first in _WRITES:", 'if first not in {"SELECT", "WITH"}:'),
)
ROWS = control("most rows", (ADAPTER, "if len(found) > target.max_rows:", "if False:"))
NUL = control("no NUL", ("adapters.odbc.values", "case str() if _UNSAYABLE(value):", "case str() if False:"))
TRUTH = {"A": ("10", "SALARY"), "B": ("99", "SECRET OF B")}
QUERY = "SELECT OWNER AS owner, AMOUNT AS amount, NOTE AS note FROM LEDGER WHERE OWNER = :owner AND NOTE = :note"
TEXTS = {"owner": "text", "amount": "text", "note": "text"}


def ledger(folder: Path) -> Path:
    file = folder / "ledger.db"
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE LEDGER (OWNER TEXT, AMOUNT TEXT, NOTE TEXT)")
        made.execute("CREATE TABLE PEOPLE (NAME TEXT, SECRET TEXT)")
        made.executemany("INSERT INTO LEDGER VALUES (?, ?, ?)", [(owner, *row) for owner, row in TRUTH.items()])
        made.execute("INSERT INTO PEOPLE VALUES ('root', 'hunter2')")
        made.commit()
    return file


def tell(file: Path, sql: str) -> Any:
    with closing(sqlite3.connect(file)) as opened:
        return opened.execute(sql).fetchone()[0]


def asked(file: Path, sql: str, effect: Any = "read", read_only: bool = True, most: int = 1000, **params: Any) -> tuple[Any, ...]:
    """The records of a catalogue's statement."""
    columns = {"columns": TEXTS, "max_rows": most} if sql.startswith(("SELECT", "WITH")) else {}
    adapter = door(f"Driver={driver()};Database={file}", read_only=read_only)
    try:
        call = Call("test", compiled({"sql": sql, **columns}, read_only=read_only), params, time.monotonic() + 5, effect=effect)
        return adapter.call(call).records
    finally:
        adapter.close()


def note(text: str, foreign: str) -> Callable[[Path], Seen]:
    """Got when A, who names this note, is shown what is not A's."""

    def act(folder: Path) -> Seen:
        rows = asked(ledger(folder), QUERY, owner="A", note=text)
        return Seen(foreign in str(rows), str(rows))

    return act


def own(folder: Path) -> Seen:
    rows = asked(ledger(folder), QUERY, owner="A", note="SALARY")
    return same([row["amount"] for row in rows], ["10"])


def quoted(folder: Path) -> Seen:
    """A text that needs no escaping to be itself."""
    file = ledger(folder)
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("INSERT INTO LEDGER VALUES ('A', '5', ?)", ("DIRECT DEBIT - O'BRIEN; --",))
        opened.commit()
    return same([row["amount"] for row in asked(file, QUERY, owner="A", note="DIRECT DEBIT - O'BRIEN; --")], ["5"])


def grows(sql: str, **how: Any) -> Callable[[Path], Seen]:
    """Got when a statement that is to read has written."""

    def act(folder: Path) -> Seen:
        file = ledger(folder)
        try:
            asked(file, sql, owner="A", note="SALARY", **how)
        finally:
            left = tell(file, "SELECT count(*) FROM LEDGER")
        return Seen(left != 2, f"LEDGER has {left} rows instead of 2")

    def kept(folder: Path) -> Seen:
        try:
            return act(folder)
        except Exception as error:
            seen = tell(folder / "ledger.db", "SELECT count(*) FROM LEDGER")
            if seen != 2:
                return Seen(True, f"LEDGER has {seen} rows instead of 2")
            raise error from None

    return kept


def ruins(sql: str, **params: Any) -> Callable[[Path], Seen]:
    """Got when the table PEOPLE is not as it was."""

    def act(folder: Path) -> Seen:
        file = ledger(folder)
        asked(file, sql, "write", read_only=False, **params)
        left = tell(file, "SELECT count(*) FROM sqlite_master WHERE name = 'PEOPLE'")
        return Seen(left == 0, f"the table PEOPLE is {'there' if left else 'gone'}")

    return act


def pragma(folder: Path) -> Seen:
    file = ledger(folder)
    asked(file, "PRAGMA user_version = 7", "write", read_only=False)
    return same(tell(file, "PRAGMA user_version"), 7)


def updates(folder: Path) -> Seen:
    file = ledger(folder)
    asked(file, "UPDATE LEDGER SET NOTE = :note WHERE OWNER = :owner", "write", read_only=False, owner="A", note="'; DROP TABLE PEOPLE; --")
    return same(tell(file, "SELECT NOTE FROM LEDGER WHERE OWNER = 'A'"), "'; DROP TABLE PEOPLE; --")


def everything(most: int) -> Callable[[Path], Seen]:
    def act(folder: Path) -> Seen:
        return same(len(asked(ledger(folder), "SELECT OWNER AS owner, AMOUNT AS amount, NOTE AS note FROM LEDGER", most=most)), 2)

    return act


def _value(name: str, text: str, foreign: str, by: Control = BOUND, twin: Callable[[Path], Seen] = own) -> Attack:
    return Attack(name, "SQL", by, note(text, foreign), twin)


ATTACKS = (
    _value("sql.always_true", "x' OR '1'='1", "SECRET OF B", twin=quoted),
    _value("sql.comment_out", "x' OR OWNER = 'B' --", "SECRET OF B", twin=quoted),
    _value("sql.union_of_other_table", "x' UNION SELECT NAME, SECRET, '' FROM PEOPLE --", "hunter2"),
    _value("sql.union_of_the_schema", "x' UNION SELECT sql, '', '' FROM sqlite_master --", "CREATE TABLE"),
    _value("sql.scalar_subquery", "x' OR NOTE = (SELECT NOTE FROM LEDGER WHERE OWNER='B') --", "SECRET OF B"),
    _value("sql.blind_question", "x' OR (SELECT substr(SECRET,1,1) FROM PEOPLE)='h", "SECRET OF B"),
    _value("sql.block_comment", "x'/**/OR/**/'1'/**/LIKE/**/'1", "SECRET OF B"),
    _value("sql.concatenation", "x' OR OWNER = char(66) OR '", "SECRET OF B"),
    Attack("sql.nul_cuts_the_value", "SQL", NUL, note("SALARY\0 OF SOMEBODY ELSE", "10"), own),
    Attack(
        "sql.with_that_inserts",
        "SQL",
        READ_ONLY,
        grows("WITH x AS (SELECT 1 AS n) INSERT INTO LEDGER SELECT OWNER AS owner, :owner AS amount, :note AS note FROM LEDGER"),
        own,
    ),
    Attack(
        "sql.read_that_deletes", "SQL", EFFECT, grows("DELETE FROM LEDGER WHERE OWNER <> :owner AND NOTE <> :note", read_only=False), own
    ),
    Attack("sql.drop_in_a_catalogue", "SQL", VERBS, ruins("DROP TABLE PEOPLE"), updates),
    Attack("sql.pragma_in_a_catalogue", "SQL", VERBS, pragma, updates),
    Attack("sql.all_rows", "SQL", ROWS, everything(1), everything(2)),
)
