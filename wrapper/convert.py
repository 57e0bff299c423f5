"""Raw text -> canonical values: what `from:` names. Pure functions of one value; each raises ValueError with what it expected.

Ambiguous text is refused, never guessed: no rounding, no two-digit year without a window, no stray sign. Messages show the
shape of what was met (letters as A, digits as 9), never the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

Converter = Callable[[Any], Any]
DIGITS = 31  # what a packed decimal can hold; more is no amount

_GROUPED = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_TRAILING = re.compile(rf"({_GROUPED})(-|CR|DR)?", re.ASCII)
_LEADING = re.compile(rf"([+-])? ?({_GROUPED})", re.ASCII)
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def shape(value: object) -> str:
    """What may be shown of a value: `MÜLLER 42` -> text of the form 'AAAAAA 99'; at most 40 characters."""
    if not isinstance(value, str):
        return f"<{type(value).__name__}>"
    text = "".join("9" if c.isdigit() else "A" if c.isalpha() else c if c in " .,-/:+" else "?" for c in value[:40])
    return f"text of the form '{text}'"


def text(value: Any) -> str:
    """Trailing blanks off; everything else stays."""
    if not isinstance(value, str):
        raise ValueError(f"expected text, met {shape(value)}")
    return value.rstrip(" ")


def plain(value: Any) -> Decimal:
    """A number without grouping. Binary floats are refused: they have already lost the amount."""
    match value:
        case str() if _PLAIN.fullmatch(bare := value.strip(" ")):
            return Decimal(bare)
        case bool() | float():
            raise ValueError(f"expected a decimal number, met {shape(value)}")
        case int() | Decimal():
            return _finite(Decimal(value))
    raise ValueError(f"expected a number like -1234.56, met {shape(value)}")


def signed_trailing(value: Any) -> Decimal:
    """`1,234.56`, `1,234.56-`, `1,234.56CR`: CR and - are negative, DR is positive."""
    found = _TRAILING.fullmatch(text(value).strip(" ").replace(" CR", "CR").replace(" DR", "DR"))
    if not found:
        raise ValueError(f"expected an amount like 1,234.56- or 1,234.56CR, met {shape(value)}")
    number = Decimal(found[1].replace(",", ""))
    return number.copy_negate() if found[2] in ("-", "CR") else number


def signed_leading(value: Any) -> Decimal:
    """`-1,234.56`, `+1,234.56`, `1,234.56`."""
    found = _LEADING.fullmatch(text(value).strip(" "))
    if not found:
        raise ValueError(f"expected an amount like -1,234.56, met {shape(value)}")
    number = Decimal(found[2].replace(",", ""))
    return number.copy_negate() if found[1] == "-" else number


def is_plain(text: str) -> bool:
    """Whether plain() takes it."""
    return bool(_PLAIN.fullmatch(text.strip(" ")))


def integer(value: Any) -> int:
    """A whole number of at most DIGITS digits: 1e3000000 is twelve bytes, and minutes of work to write out."""
    number = plain(value)
    if abs(number.adjusted()) > DIGITS:
        raise ValueError(f"expected at most {DIGITS} digits")
    if number != number.to_integral_value():
        raise ValueError("expected a whole number")
    return int(number)


def boolean(value: Any) -> bool:
    """true/false as such or as text."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError(f"expected true or false, met {shape(value)}")


def yn(value: Any) -> bool:
    """Y and N."""
    if text(value) not in ("Y", "N"):
        raise ValueError(f"expected Y or N, met {shape(value)}")
    return text(value) == "Y"


def iso_date(value: Any) -> date:
    """2026-11-24, or a date itself; a date-time is refused, since cutting it would lose something."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value.strip(" "), re.ASCII):
        return date.fromisoformat(value.strip(" "))
    raise ValueError(f"expected a date like 2026-11-24, met {shape(value)}")


def iso_datetime(value: Any) -> datetime:
    """An RFC 3339 time with its offset."""
    moment = _moment(value)
    if moment.tzinfo is None:
        raise ValueError("expected a time with an offset; say `from: iso_local` where the back end means its own local time")
    return moment


def iso_local(value: Any) -> datetime:
    """A time without offset, in the back end's own zone: kept as it is, never shifted."""
    moment = _moment(value)
    if moment.tzinfo is not None:
        raise ValueError("expected a local time without offset")
    return moment


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", value, re.ASCII):
        return datetime.fromisoformat(value)
    raise ValueError(f"expected a time like 2026-11-24T09:30:00, met {shape(value)}")


def _dated(pattern: str, layout: str) -> Converter:
    """A fixed layout with a four-digit year."""
    found = re.compile(pattern, re.ASCII)

    def convert(value: Any) -> date:
        digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value).strip(" ")
        if not found.fullmatch(digits):
            raise ValueError(f"expected a date as {layout}, met {shape(value)}")
        year, month, day = (int(digits[layout.index(c) : layout.rindex(c) + 1]) for c in "ymd")
        return date(year, month, day)

    return convert


def yymmdd(window: int) -> Converter:
    """Two-digit years: `window` 1950 reads 50 as 1950 and 49 as 2049."""

    def convert(value: Any) -> date:
        digits = text(value).strip(" ")
        if not re.fullmatch(r"\d{6}", digits, re.ASCII):
            raise ValueError(f"expected a date as yymmdd, met {shape(value)}")
        year = window + (int(digits[:2]) - window) % 100
        return date(year, int(digits[2:4]), int(digits[4:]))

    return convert


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise ValueError("expected a finite number")
    return number


NAMED: Mapping[str, Converter] = {
    "text": text,
    "plain": plain,
    "signed_trailing": signed_trailing,
    "signed_leading": signed_leading,
    "yn": yn,
    "iso": iso_date,
    "iso_local": iso_local,
    "yyyymmdd": _dated(r"\d{8}", "yyyymmdd"),
    "ddmmyyyy": _dated(r"\d{8}", "ddmmyyyy"),
    "dd/mm/yyyy": _dated(r"\d\d/\d\d/\d{4}", "dd/mm/yyyy"),
}
"""Every `from:` but `yymmdd`, which needs its window, and `py:`."""

BY_TYPE: Mapping[str, Converter] = {
    "string": text, "integer": integer, "decimal": plain, "boolean": boolean, "date": iso_date, "datetime": iso_datetime,
}  # fmt: skip
"""What a value of a type must look like when the file says nothing: its canonical form."""
