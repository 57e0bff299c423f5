"""An answer as two sides give it, what may be planted in the one of them, and the noise that means nothing."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from wrapper.migration.compare import Verdict, compare
from wrapper.migration.rules import Rules
from wrapper.operation import Field
from wrapper.rows import Rows

FIELDS = (
    Field("account", "string", key=True), Field("kind", "string", one_of=("current", "savings")), Field("opened", "date"),
    Field("closed", "date", optional=True), Field("balance", "decimal", scale=2), Field("rate", "decimal", scale=4),
    Field("name", "string"), Field("branch", "string"), Field("points", "integer"), Field("active", "boolean"),
    Field("updated", "datetime"),
    Field("address", "object", of=(Field("line1", "string"), Field("checked", "datetime"))),
    Field("phones", "list", of=(Field("number", "string", key=True), Field("label", "string"))),
    Field("tags", "list", of=(Field("tag", "string"),)), Field("links", "list", of=(Field("to", "string", key=True),)),
    Field("printed", "datetime"), Field("trace", "string"), Field("request", "string"), Field("token", "string"),
)  # fmt: skip
STRICT = Rules()
Row = dict[str, Any]


def row(account: str) -> Row:
    return {
        "account": account, "kind": "current", "opened": date(1949, 3, 4), "closed": None, "balance": Decimal("1234.56"),
        "rate": Decimal("0.0525"), "name": "MÜLLER LTD", "branch": "0042", "points": 7, "active": True,
        "updated": datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
        "address": {"line1": "1 HIGH STREET", "checked": datetime(2026, 11, 24, 23, 59, 59, 900_000, tzinfo=UTC)},
        "phones": [{"number": "1", "label": "home"}, {"number": "2", "label": "work"}, {"number": "3", "label": "old"}],
        "tags": [{"tag": "a"}, {"tag": "b"}, {"tag": "a"}], "links": [{"to": "x"}, {"to": "y"}],
        "printed": datetime(2026, 11, 24, 9, 30, 1), "trace": "0b7e9d0a-5c1f-4e0a-9a53-3f0c8f6f7d11", "request": "9f86d081884c7d65",
        "token": "req_01HF7YAT00" + "Z" * 16,
    }  # fmt: skip


def answer() -> list[Row]:
    return [row(f"{n:010}") for n in range(1, 7)]


def told(rows: Any, **more: Any) -> Rows:
    return Rows(tuple(rows), (), "bank", **more)


def compared(control: Any, candidate: Any, by: Rules = STRICT, fields: tuple[Field, ...] = FIELDS) -> Verdict:
    return compare(told(control), told(candidate), fields, by)


def found(verdict: Verdict) -> list[tuple[str, str, str]]:
    return [(d.where, d.kind, d.detail) for d in verdict.differences]


Plant = Callable[[list[Row]], object]


def put(name: str, value: Any) -> Plant:
    """A value of the third row, or of what is in it: `address.line1`, `phones.1.label`."""

    def plant(rows: list[Row]) -> None:
        *way, last = name.split(".")
        at: Any = rows[2]
        for step in way:
            at = at[int(step) if step.isdecimal() else step]
        at[last] = value

    return plant


MORE = timezone(timedelta(hours=1))
UPDATED = row("1")["updated"]
PLANTED: dict[str, tuple[Plant, list[tuple[str, str, str]]]] = {
    "a penny": (put("balance", Decimal("1234.57")), [("items[2].balance", "value", "rounding")]),
    "pounds only": (put("balance", Decimal("1234.00")), [("items[2].balance", "value", "rounding")]),
    "rounded rate": (put("rate", Decimal("0.0530")), [("items[2].rate", "value", "rounding")]),
    "sign": (put("balance", Decimal("-1234.56")), [("items[2].balance", "value", "sign")]),
    "pence for pounds": (put("balance", Decimal("123456.00")), [("items[2].balance", "value", "factor of ten")]),
    "other amount": (put("balance", Decimal("1243.56")), [("items[2].balance", "value", "")]),
    "other count": (put("points", 9), [("items[2].points", "value", "")]),
    "text for a number": (put("points", "7"), [("items[2].points", "type", "integer against string")]),
    "1 for true": (put("active", 1), [("items[2].active", "type", "boolean against integer")]),
    "binary amount": (put("balance", 1234.56), [("items[2].balance", "type", "decimal against float")]),
    "time for a date": (put("opened", datetime(1949, 3, 4)), [("items[2].opened", "type", "date against datetime")]),
    "not a number": (put("balance", Decimal("NaN")), [("items[2].balance", "type", "not a canonical value")]),
    "false": (put("active", False), [("items[2].active", "value", "")]),
    "trailing blanks": (put("name", "MÜLLER LTD  "), [("items[2].name", "value", "trailing blanks")]),
    "leading blanks": (put("name", " MÜLLER LTD"), [("items[2].name", "value", "blanks")]),
    "case": (put("name", "Müller Ltd"), [("items[2].name", "value", "case")]),
    "truncated text": (put("name", "MÜLLER L"), [("items[2].name", "value", "truncated")]),
    "accent lost": (put("name", "MULLER LTD"), [("items[2].name", "value", "characters")]),
    "code page": (put("name", "M?LLER LTD"), [("items[2].name", "value", "characters")]),
    "other name": (put("name", "SMITH LTD"), [("items[2].name", "value", "")]),
    "leading zeros": (put("branch", "42"), [("items[2].branch", "value", "leading zeros")]),
    "code table": (put("kind", "savings"), [("items[2].kind", "value", "code table")]),
    "date window": (put("opened", date(2049, 3, 4)), [("items[2].opened", "value", "century")]),
    "day and month": (put("opened", date(1949, 4, 3)), [("items[2].opened", "value", "day and month")]),
    "the day before": (put("opened", date(1949, 3, 3)), [("items[2].opened", "value", "date shifted")]),
    "an hour": (put("updated", UPDATED + timedelta(hours=1)), [("items[2].updated", "value", "time zone")]),
    "other offset": (put("updated", UPDATED.astimezone(MORE)), [("items[2].updated", "value", "time zone")]),
    "offset lost": (put("updated", UPDATED.replace(tzinfo=None)), [("items[2].updated", "value", "time zone")]),
    "time lost": (put("updated", UPDATED.replace(hour=0, minute=0)), [("items[2].updated", "value", "time lost")]),
    "a day later": (put("updated", UPDATED + timedelta(days=1)), [("items[2].updated", "value", "date shifted")]),
    "minutes": (put("printed", datetime(2026, 11, 24, 9, 37, 1)), [("items[2].printed", "value", "")]),
    "null": (put("opened", None), [("items[2].opened", "value", "null")]),
    "null against absent": (lambda rows: rows[2].pop("closed"), [("items[2].closed", "value", "null against absent")]),
    "field lost": (lambda rows: rows[2].pop("rate"), [("items[2].rate", "missing", "field")]),
    "field more": (put("limit", Decimal(1)), [("items[2].limit", "extra", "field")]),
    "row lost": (lambda rows: rows.pop(2), [("items", "count", "rows"), ("items[2]", "missing", "row")]),
    "row more": (lambda rows: rows.insert(2, row("0000000009")), [("items", "count", "rows"), ("items[2]", "extra", "row")]),
    "last page lost": (
        lambda rows: rows.__delitem__(slice(4, None)),
        [("items", "count", "cut short"), ("items[4]", "missing", "row"), ("items[5]", "missing", "row")],
    ),
    "first row of a page twice": (
        lambda rows: rows.insert(3, deepcopy(rows[2])),
        [("items", "count", "rows"), ("items[3]", "extra", "repeated row")],
    ),
    "row for another": (put("account", "0000000077"), [("items[2]", "missing", "row"), ("items[2]", "extra", "row")]),
    "order": (lambda rows: rows.insert(4, rows.pop(2)), [("items[2]", "order", "moved")]),
    "in an object": (put("address.line1", "2 HIGH STREET"), [("items[2].address.line1", "value", "")]),
    "in a list": (put("phones.1.label", "mobile"), [("items[2].phones[1].label", "value", "")]),
    "order of a list": (lambda rows: rows[2]["phones"].reverse(), [("items[2].phones[0]", "order", "moved")]),
    "item lost": (
        lambda rows: rows[2]["phones"].pop(0),
        [("items[2].phones", "count", "rows"), ("items[2].phones[0]", "missing", "row")],
    ),
    "list emptied": (
        lambda rows: rows[2]["links"].clear(),
        [("items[2].links", "count", "cut short"), ("items[2].links[0]", "missing", "row"), ("items[2].links[1]", "missing", "row")],
    ),
}  # fmt: skip


def noisy(rows: list[Row]) -> list[Row]:
    """What harmless noise does to an answer: each line is one kind of it."""
    made = []
    for n, kept in enumerate(rows):
        met = deepcopy(kept)
        met["printed"] += timedelta(seconds=n % 5)
        met["address"]["checked"] += timedelta(milliseconds=700)  # over midnight
        met["trace"] = f"{n}c2d1f0e-77aa-4b0b-8d0e-9a2f1e6b5c4d"
        met["request"] = f"a9f0e61a137d86a{n}"
        met["token"] = f"req_01HF7YB{n}00{'Y' * 16}"
        met["tags"] = met["tags"][::-1][1:] + met["tags"][2:]
        met["links"].reverse()
        if isinstance(met.get("balance"), Decimal):
            met["balance"] = Decimal(f"{met['balance']}000")
        met["phones"] = tuple(met["phones"])
        made.append(dict(reversed(met.items())))
    return made
