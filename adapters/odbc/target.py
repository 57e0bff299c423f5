"""The catalogue blocks of kind `odbc`: one SQL statement with bound `:name` values, and how its answer is paged and typed.

    legacy:
      system: ledger
      sql: |
        SELECT POLNO AS policy, PREMAMT AS premium FROM POLICY
        WHERE HLDID = :holder AND POLNO > :after ORDER BY POLNO
      page_by: policy          # a unique column; pages follow each other by `> :after` until one is short
      columns: {policy: text, premium: decimal}

`columns` states types, which drivers get wrong: a stated column arrives as that type or the answer is a Misread; text stays as it is,
padding included. Columns that are not stated have the type that the driver reports. The first page asks for what comes after the
lowest key: the smallest 64-bit integer, or the empty text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.base import BadTarget, Fault, Files
from adapters.blocks import strict
from adapters.errors import ErrorRule, rules
from adapters.odbc.sql import AFTER, BadSql, Statement, parse

TYPES = ("text", "integer", "decimal", "date", "datetime", "boolean")
START: Mapping[str, Any] = {"text": "", "integer": -(2**63)}
PAGE, MOST = 500, 10_000
_DURATION = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$"}

SYSTEM: Mapping[str, Any] = strict(
    "dsn",
    dsn={"type": "string", "description": "an ODBC connection string; a networked driver's names Server and Port"},
    pool=strict("", max={"type": "integer", "minimum": 1}, idle=_DURATION, recycle=_DURATION),
    read_only={"type": "boolean", "description": "enforced by the server and verified at each connect; true unless stated"},
    lock_timeout=_DURATION,
)
TARGET: Mapping[str, Any] = strict(
    "sql",
    sql={"type": "string", "minLength": 1},
    page_by={"type": "string"},
    page_size={"type": "integer", "minimum": 1, "maximum": 10_000},
    max_rows={"type": "integer", "minimum": 1, "maximum": 1_000_000},
    columns={"type": "object", "additionalProperties": {"enum": list(TYPES)}},
)


@dataclass(frozen=True, slots=True)
class OdbcTarget:
    """A compiled block. `kinds` are the stated types, None where none is; `page_by` is the index of the key column."""

    statement: Statement
    kinds: tuple[str | None, ...]
    page_by: int | None
    page_size: int
    max_rows: int
    errors: tuple[ErrorRule, ...] = ()

    @property
    def uses(self) -> frozenset[str]:
        return frozenset(self.statement.params) - ({AFTER} if self.page_by is not None else set())

    @property
    def gives(self) -> frozenset[str] | None:
        return frozenset(self.statement.names or ("rows",))


def calls(system: Mapping[str, Any]) -> int:
    """See base.TargetModule."""
    most: int = system.get("pool", {}).get("max", 4)
    return most


def compile(block: Mapping[str, Any], system: Mapping[str, Any], files: Files) -> OdbcTarget:
    """A schema-valid block -> OdbcTarget. Raises BadTarget."""
    try:
        statement = parse(block["sql"])
    except BadSql as bad:
        raise BadTarget([Fault(("sql",), reason) for reason in bad.reasons]) from None
    columns, page_by = block.get("columns", {}), block.get("page_by")
    faults = [
        Fault(("columns", n), f"the statement has no column '{n}', only {_list(statement)}") for n in columns if n not in statement.names
    ]
    if statement.writes and system.get("read_only", True):
        faults.append(Fault(("sql",), "the system is read_only: a statement starts with SELECT or WITH"))
    if page_by is not None:
        faults += _paging(statement, page_by, columns)
    elif AFTER in statement.params:
        faults.append(Fault(("sql",), f":{AFTER} is the last key of the page before: state page_by, or choose another name"))
    if faults:
        raise BadTarget(faults)
    return OdbcTarget(
        statement,
        tuple(columns.get(name) for name in statement.names),
        None if page_by is None else statement.names.index(page_by),
        block.get("page_size", PAGE),
        block.get("max_rows", MOST),
        rules(block),
    )


def _paging(statement: Statement, page_by: str, columns: Mapping[str, str]) -> list[Fault]:
    """What keyset paging needs of a statement."""
    faults = []
    if page_by not in statement.names:
        return [Fault(("page_by",), f"the statement has no column '{page_by}', only {_list(statement)}")]
    if columns.get(page_by) not in START:
        message = f"state the key's type, text or integer, under columns: the first page starts below it (columns: {{{page_by}: text}})"
        faults.append(Fault(("page_by",), message))
    if AFTER not in statement.params:
        faults.append(Fault(("sql",), f"page_by needs `{page_by} > :{AFTER}` in the statement"))
    if page_by not in statement.ordered_by:
        faults.append(Fault(("sql",), f"page_by needs ORDER BY {page_by}, first"))
    if statement.descending:
        faults.append(Fault(("sql",), "pages go upwards: ORDER BY without DESC"))
    if statement.limited:
        faults.append(Fault(("sql",), "page_size limits a page: no LIMIT, OFFSET, FETCH or TOP"))
    return faults


def _list(statement: Statement) -> str:
    return ", ".join(statement.names) or "none"
