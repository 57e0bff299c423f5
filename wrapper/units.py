"""Times and shares as people and programs read them. Times are seconds since 1970, days are UTC's."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

HOUR, DAY = 3600.0, 86_400.0
_UNITS = ((DAY, "d"), (HOUR, "h"), (60.0, "min"), (1.0, "s"))


def spell(seconds: float) -> str:
    """`2 h 10 min`: the two largest units, rounded up, so that nobody is told too little."""
    for (size, unit), (less, smaller) in pairwise(_UNITS):
        if seconds >= size:
            many, rest = divmod(-(-seconds // less) * less, size)
            return f"{many:.0f} {unit}" + (f" {rest / less:.0f} {smaller}" if rest else "")
    return f"{-(-seconds // 1):.0f} s"


def percent(share: float | Decimal, digits: int = 4) -> str:
    """`99.9%`: as many digits as it takes, up to so many after the point; what was measured takes two."""
    return f"{round(100 * float(share), digits):g}%"


def iso(at: float) -> str:
    """For a program."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def moment(said: str) -> float:
    """A day, or a time of it, as people say it: 2026-01-31, 2026-01-31T12:00 (UTC). Raises ValueError."""
    return datetime.fromisoformat(f"{said}Z" if "T" in said else f"{said}T00:00Z").timestamp()


def instant(at: float) -> str:
    """For a person."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%SZ}"


def minute(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def day(at: float, later: int = 0) -> str:
    """The day of that moment, or so many days later."""
    return f"{datetime.fromtimestamp(at, UTC) + timedelta(days=later):%Y-%m-%d}"


def midnight(day: date) -> datetime:
    """When it begins."""
    return datetime.combine(day, time(), UTC)
