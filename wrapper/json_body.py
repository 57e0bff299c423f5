"""A request's JSON body, strictly: what two parsers could read in two ways is refused.

Numbers with a point become Decimal, never a float; a name given twice, NaN, and anything but one object are errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from wrapper import strict_json
from wrapper.operation import Field
from wrapper.problems import Invalid, RequestError

MOST_DIGITS = 1000  # and zeros that an exponent stands for
MOST_DEEP = 32
_TYPE = re.compile(r"application/json\s*(;.*)?", re.ASCII | re.IGNORECASE | re.DOTALL)
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";]*)", re.ASCII | re.IGNORECASE)
_WANTED: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "decimal": ('an amount as text, like "12.50"', (str,)),
    "integer": ("a whole number", (int, Decimal)), "boolean": ("true or false", (bool,)),
}  # fmt: skip

_KINDS: Mapping[type, str] = {dict: "an object", list: "a list", str: "text"}


class WrongType(RequestError):
    status = 415
    title = "This media type is not understood"


def parse(data: bytes, kind: str, coding: str = "") -> dict[str, Any]:
    """The body as a dict; `kind` and `coding` are what the headers say of it. Raises RequestError (400) or WrongType (415)."""
    if not _TYPE.fullmatch(kind) or any(name.lower() != "utf-8" for name in _CHARSET.findall(kind)):
        raise WrongType("send the body as application/json, in UTF-8")
    if coding.lower() not in ("", "identity"):
        raise WrongType("send the body as it is, without a Content-Encoding")
    try:
        body = _JSON.decode(data.decode("utf-8"))
        _check_depth(body)
        json.dumps(body, ensure_ascii=False, default=str).encode("utf-8")  # half a surrogate pair is no text
    except json.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except (UnicodeError, RecursionError):
        raise RequestError(f"the body is not JSON in UTF-8, or is nested more than {MOST_DEEP} deep") from None
    except ValueError as error:
        raise RequestError(f"the body is not acceptable: {error}") from None
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object")
    return body


def members(body: dict[str, Any], kinds: Mapping[str, type]) -> dict[str, Any]:
    """The body, which has these members at most, each of its kind. Raises Invalid."""
    for name, value in body.items():
        if name not in kinds:
            raise Invalid(f"the body has {', '.join(kinds)}; {name!r} is none of them")
        if not isinstance(value, kinds[name]):
            raise Invalid(f"{name} must be {_KINDS[kinds[name]]}")
    return body


def _check_depth(body: Any) -> None:
    """Level by level: what comes after may recurse."""
    level = [body]
    for _ in range(MOST_DEEP):
        within = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [one for several in within for one in several]
    if any(isinstance(one, (dict, list)) for one in level):
        raise RecursionError


def typed(body: Mapping[str, Any], fields: Sequence[Field]) -> None:
    """Values have the JSON types that the description says: an amount is text, for a number would be a float in most programs, and what
    is a number or a truth value is no text. Raises Invalid."""
    errors = [{"in": "body", "name": name, "reason": f"expected {wanted}"} for name, wanted in _mistyped(body, fields, "")]
    if errors:
        raise Invalid("; ".join(f"body {e['name']}: {e['reason']}" for e in errors[:3]), errors=errors[:100])


def _mistyped(body: Mapping[str, Any], fields: Sequence[Field], at: str) -> Iterator[tuple[str, str]]:
    for field in fields:
        value, name = body.get(field.name), f"{at}{field.name}"
        wanted, types = _WANTED.get(field.type, ("", (object,)))
        if value is not None and type(value) not in types and wanted:
            yield name, wanted
        rows = value if field.type == "list" and isinstance(value, list) else [value] if field.type == "object" else []
        for number, row in enumerate(rows):
            if isinstance(row, dict):
                yield from _mistyped(row, field.of, f"{name}.{number}." if field.type == "list" else f"{name}.")


def _number(text: str) -> Decimal:
    if len(text) <= MOST_DIGITS:
        with suppress(ArithmeticError):
            number = Decimal(text)
            if abs(number.adjusted()) <= MOST_DIGITS:
                return number
    raise ValueError(f"a number has more than {MOST_DIGITS} digits, or an exponent that stands for as many")


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(text)


_JSON = strict_json.decoder(parse_float=_number, parse_int=_integer)
