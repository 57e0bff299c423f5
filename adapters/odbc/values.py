"""Values on their way in and out: nothing is cut short, rounded or guessed.

In: what a driver would silently change (text after a NUL, a 65-bit number) is refused. Out: a column arrives as its kind or the answer
is a Misread that names the column and shows the value's shape only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any

from adapters.errors import Misconfigured, Misread, Refused

_KINDS: dict[type, str] = {
    bool: "boolean", int: "integer", float: "decimal", Decimal: "decimal", str: "text", date: "date", datetime: "datetime", time: "text",
}  # fmt: skip
_EXACT: dict[str, type] = {"text": str, "integer": int, "date": date, "datetime": datetime, "boolean": bool}
"""Kinds whose values are taken as they are when they have exactly this class."""
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([+-][0-9]{2}:[0-9]{2})?")
_UNSAYABLE = re.compile("[\0\ud800-\udfff]").search
_BOOLEAN = {"0": False, "1": True, "false": False, "true": True}


def bound(name: str, value: Any, backend: str) -> Any:
    """A parameter as the driver may have it. Raises Refused, Misconfigured."""
    match value:
        case str() if _UNSAYABLE(value):
            raise Refused(f"{name} holds a character that {backend} does not take", backend=backend)
        case int() if not -(2**63) <= value < 2**63:
            raise Refused(f"{name} is too large a number for {backend}", backend=backend)
        case Decimal() if not value.is_finite():
            raise Refused(f"{name} is not a number", backend=backend)
        case datetime() if value.tzinfo is not None:
            raise Refused(f"{name} has a time zone, which {backend} would not be told: pass a local time", backend=backend)
        case None | str() | int() | Decimal() | date():
            return value
    raise Misconfigured(f"{name} is a {type(value).__name__}: a statement takes single values", backend=backend)


def read(value: Any, kind: str, *, stated: bool, digits: int | None) -> Any:
    """A value of the answer as its kind. `digits` is how many significant ones the database keeps exactly in a number with a point.

    Raises ValueError where the value is not of that kind, or may have lost something on its way.
    """
    if value is None:
        return None
    if kind == "decimal":  # the most frequent one that is not taken as it is
        return _decimal(value, digits if stated else None)
    match kind, value:
        case "text", str():
            return value
        case "text", int() | Decimal() | date() if not stated:  # drivers report booleans, and what from_text has made, as text
            return value
        case "integer", _:
            return _integer(value)
        case "date", str() if _DATE.fullmatch(value):
            return date.fromisoformat(value)
        case "datetime", str() if _DATETIME.fullmatch(value):
            return datetime.fromisoformat(value)
        case ("date", date()) | ("datetime", datetime()) if isinstance(value, datetime) == (kind == "datetime"):
            return value
        case "boolean", bool() | int() | str() if str(value).lower() in _BOOLEAN:
            return _BOOLEAN[str(value).lower()]
    raise ValueError(kind)


def from_text(kind: str) -> Callable[[bytes], Any]:
    """A converter of the text that a column of this kind really holds; what is not of the kind stays text."""

    def convert(raw: bytes) -> Any:
        text = raw.decode()
        try:
            return read(text, kind, stated=False, digits=None)
        except ValueError:
            return text

    return convert


def _integer(value: Any) -> int:
    match value:
        case int() if not isinstance(value, bool):
            return value
        case str() if _INTEGER.fullmatch(value):
            return int(value)
        case Decimal() if value.is_finite() and value == value.to_integral_value():
            return int(value)
    raise ValueError("integer")


def _decimal(value: Any, digits: int | None) -> Decimal:
    number = value if value.__class__ is Decimal else _number(value)
    if digits is None:
        if not number.is_finite():
            raise ValueError("decimal")
        return number
    _, figures, exponent = number.as_tuple()
    if not isinstance(exponent, int) or (exponent != 0 and len(figures) > digits):
        raise ValueError("decimal")
    return number


def _number(value: Any) -> Decimal:
    match value:
        case str() if _NUMBER.fullmatch(value):
            return Decimal(value)
        case int() | Decimal() if not isinstance(value, bool):
            return Decimal(value)
        case float() if math.isfinite(value):
            return Decimal(repr(value))
    raise ValueError("decimal")


@cache
def columns(names: tuple[str, ...], stated: tuple[str | None, ...], met: tuple[str | None, ...]) -> tuple[Column, ...]:
    """Raises ValueError when they are not as many as each other."""
    return tuple(
        Column(name, kind or as_met or "", kind is not None, _EXACT.get(kind or as_met or ""))
        for name, kind, as_met in zip(names, stated, met, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, its kind, and whether the catalogue states it or the database; values of the class `exact` are taken as they are."""

    name: str
    kind: str
    stated: bool
    exact: type | None


def records(rows: Sequence[Sequence[Any]], columns: Sequence[Column], digits: int | None, backend: str) -> list[Mapping[str, Any]]:
    """Rows as records. Raises Misread."""
    out: list[Mapping[str, Any]] = []
    for number, row in enumerate(rows, 1):
        record: dict[str, Any] = {}
        for column, value in zip(columns, row, strict=True):
            if value is not None and value.__class__ is not column.exact:
                try:
                    value = read(value, column.kind, stated=column.stated, digits=digits)
                except ValueError:
                    expected = f"column {column.name} of row {number}: expected {column.kind}, met {shape(value)}"
                    advice = "" if column.stated else "; state its type under columns"
                    raise Misread(f"{backend}: {expected}{advice}", backend=backend) from None
            record[column.name] = value
        out.append(record)
    return out


def reported(description: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """A cursor's description as kinds."""
    return tuple(_KINDS.get(column[1], "a type that can be represented") for column in description)


def shape(value: Any) -> str:
    """What a value looks like without saying what it is: letters A, digits 9."""
    if isinstance(value, str):
        return "'" + re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", value[:20])) + "'"
    return f"a {type(value).__name__}"
