"""Two canonical values of one field: whether they are the same, and if not, in what way. Knows no paths, rows or rules.

What way is for the person who must find the cause: a wrong century points at a date window, a wrong hour at a time zone. It never makes
two values the same.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from wrapper.migration.rules import Tolerance
from wrapper.operation import Field

CLOCK = timedelta(minutes=1)
"""Times that are no further apart may both be the moment of asking."""
_KINDS: tuple[tuple[type, str], ...] = (
    (type(None), "null"), (bool, "boolean"), (int, "integer"), (Decimal, "decimal"), (float, "float"), (str, "string"),
    (datetime, "datetime"), (date, "date"), (time, "time"), (Mapping, "object"), (list, "list"), (tuple, "list"),
)  # fmt: skip
_EXACTLY = {**dict(_KINDS), dict: "object"}
_PLAIN = frozenset({type(None), bool, int, str, date})
_ZONES = timedelta(hours=14)
_QUARTER = timedelta(minutes=15)
_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow])
_VARIANT = set('$#@[]{}|!^~`\\"')  # places that mean other characters from one EBCDIC code page to the next
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_GENERATED = re.compile(
    rf"(?:[a-z]{{1,10}}[-_])?(?:{_UUID}|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{{16,64}}|(?=[0-9]*[a-z])[0-7][0-9a-hjkmnp-tv-z]{{25}})",
    re.ASCII | re.IGNORECASE,
)
"""A UUID, at least 16 hexadecimal digits or a ULID, with letters and digits: an account number is none of them."""


def kind(value: Any) -> str:
    """The contract's word for a value; "" for what no contract allows, like NaN."""
    word = _EXACTLY.get(type(value)) or next((word for of, word in _KINDS if isinstance(value, of)), "")
    if word == "decimal":
        return word if value.is_finite() else ""
    return word if word != "float" or math.isfinite(value) else ""


def same(a: Any, b: Any, limit: Tolerance | None = None) -> bool:
    """Of two values of one kind. A time is the same with the same offset only: callers see it. A limit that can't be applied is none."""
    if a == b and offset(a) == offset(b):
        return True
    apart = distance(a, b)
    return apart is not None and type(limit) is type(apart) and apart <= limit  # type: ignore[operator]


def plainly_same(a: Any, b: Any) -> bool:
    """What same() says of most values, in a tenth of the time: True is certain, False is not."""
    met = type(a)
    return met is type(b) and (met in _PLAIN or (met is Decimal and a.is_finite() and b.is_finite())) and bool(a == b)


def offset(value: Any) -> timedelta | None:
    """From UTC, of a time that states it."""
    return value.utcoffset() if isinstance(value, datetime | time) else None


def distance(a: Any, b: Any) -> Tolerance | None:
    """How far apart two numbers or two times are, exactly; None where that can't be said."""
    match a, b:
        case (bool(), _) | (_, bool()):
            return None
        case (int() | Decimal() | float(), int() | Decimal() | float()):
            try:
                return _EXACT.abs(_EXACT.subtract(Decimal(a), Decimal(b)))
            except ArithmeticError:
                return None
        case (datetime(), datetime()):
            return abs(a.replace(tzinfo=None) - b.replace(tzinfo=None)) if offset(a) == offset(b) else None
        case (date(), date()):
            return abs(a - b)
        case (time(), time()):
            return abs(_since_midnight(a) - _since_midnight(b)) if offset(a) == offset(b) else None
    return None


def way(a: Any, b: Any, field: Field | None) -> str:
    """In what way two values of one kind differ; "" where there is no word for it."""
    match a, b:
        case (str(), str()):
            return "code table" if field is not None and field.one_of else _texts(a, b)
        case (datetime() | time(), datetime() | time()):
            return _moments(a, b)
        case (date(), date()):
            return _dates(a, b)
    return "" if isinstance(a, bool) else _numbers(a, b)


def unit(a: Decimal, b: Decimal) -> Decimal:
    """One in the last place that both state."""
    return Decimal(1).scaleb(min(0, max(_exponent(a), _exponent(b))))


def _numbers(a: Any, b: Any) -> str:
    apart = distance(a, b)
    if not isinstance(apart, Decimal):  # so many digits that no sum of them is exact
        return ""
    if Decimal(a) == Decimal(b).copy_negate():
        return "sign"
    if isinstance(a, Decimal):
        coarse = Decimal(1).scaleb(min(0, max(_last(a), _last(b))))
        if apart <= unit(a, b) or (apart < coarse and a and b):
            return "rounding"
    return "factor of ten" if a and b and _digits(a) == _digits(b) else ""


def _texts(a: str, b: str) -> str:
    short, long = sorted((a, b), key=len)
    if a.rstrip() == b.rstrip():
        return "trailing blanks"
    if "".join(a.split()) == "".join(b.split()):
        return "blanks"
    if a.casefold() == b.casefold():
        return "case"
    if a.isdecimal() and b.isdecimal() and a.lstrip("0") == b.lstrip("0"):
        return "leading zeros"
    if short and long.startswith(short.rstrip()):
        return "truncated"
    if len(a) == len(b) and _GENERATED.fullmatch(a) and _GENERATED.fullmatch(b):
        return "generated id"
    return "characters" if _bare(a) == _bare(b) or _garbled(a, b) else ""


def _bare(text: str) -> str:
    """Without accents: what a narrow code page leaves of it."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()


def _garbled(a: str, b: str) -> bool:
    """Characters that one side could not write, or that are others in the other's code page."""
    odd = [{x, y} for x, y in zip(a, b, strict=False) if x != y]
    return len(a) == len(b) and all(pair & {"?", "\x1a"} or pair <= _VARIANT or not "".join(pair).isascii() for pair in odd)


def _dates(a: date, b: date) -> str:
    if (a.month, a.day) == (b.month, b.day) and (a.year - b.year) % 100 == 0:
        return "century"
    if (a.year, a.month, a.day) == (b.year, b.day, b.month):
        return "day and month"
    return "date shifted" if abs(a - b) <= timedelta(days=1) else ""


def _moments(a: Any, b: Any) -> str:
    apart = distance(a, b)
    if not isinstance(apart, timedelta):
        return "time zone"
    if apart <= CLOCK:
        return "clock"
    if isinstance(a, datetime) and a.date() == b.date() and time() in (a.time(), b.time()):
        return "time lost"
    if apart <= _ZONES and not apart % _QUARTER:
        return "time zone"
    return _dates(a.date(), b.date()) if isinstance(a, datetime) and a.time() == b.time() else ""


def _since_midnight(value: time) -> timedelta:
    return timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # of a finite number it is
    return exponent


def _digits(number: Any) -> tuple[int, str]:
    """The sign and the digits without the zeros at their end."""
    made = Decimal(number).as_tuple()
    return made.sign, "".join(map(str, made.digits)).rstrip("0")


def _last(number: Decimal) -> int:
    """The place of the last digit that is not 0."""
    return _exponent(number) + len(number.as_tuple().digits) - len(_digits(number)[1])
