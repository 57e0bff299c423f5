"""When a system is open: a daily window of its own time zone, on some days of the week.

    07:00-21:30 Mon-Sat        22:00-06:00 Mon-Fri (a window over midnight belongs to the day that it begins on)        00:00-24:00 Sun

Pure: the time is handed in as seconds since 1970. Times are the zone's wall clock, so that they stay where they are when the clocks change;
a time that is skipped is as much later, one that comes twice is its first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TEXT = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)(?: ([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))?)?", re.ASCII)
_DAY = timedelta(days=1)
_NEVER = (float("-inf"), float("inf"))


class BadHours(ValueError):
    """Hours that can't be meant; says what to write."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the day from `begins` to `ends` (over midnight when it is the smaller), on `days` (0 is Monday)."""

    begins: int
    ends: int
    days: frozenset[int]
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` to `until` (seconds since 1970) the system is open, or is not."""

    open: bool
    since: float
    until: float


def parse(text: str, zone: ZoneInfo) -> Hours:
    """Raises BadHours."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise BadHours(f"hours are written like 07:00-21:30 Mon-Sat, met '{text}'")
    begins, ends = _minutes(found[1], found[2]), _minutes(found[3], found[4])
    if begins == ends or begins == 24 * 60:
        raise BadHours(f"'{text}' begins where it ends; a whole day is 00:00-24:00")
    first, last = (_day(found[5] or DAYS[0]), _day(found[6] or found[5] or DAYS[-1]))
    days = frozenset((first + n) % 7 for n in range((last - first) % 7 + 1))
    return Hours(begins, ends, days, zone)


def span(hours: Hours, now: float) -> Span:
    """Whether it is open at `now`, and the time around it for which that stays so."""
    today = datetime.fromtimestamp(now, hours.zone).date()
    before, after = _NEVER
    for begins, ends in _windows(hours, today):
        if begins <= now < ends:
            return Span(True, begins, ends)
        if ends <= now:
            before = max(before, ends)
        else:
            after = min(after, begins)
    return Span(False, before, after)


def _windows(hours: Hours, today: date) -> Iterator[tuple[float, float]]:
    for n in range(-8, 9):
        day = today + n * _DAY
        if day.weekday() in hours.days:
            yield _instant(day, hours.begins, hours.zone), _instant(day + (hours.ends <= hours.begins) * _DAY, hours.ends, hours.zone)


def _instant(day: date, minutes: int, zone: ZoneInfo) -> float:
    """A wall-clock time as seconds since 1970."""
    days, rest = divmod(minutes, 24 * 60)
    return datetime.combine(day + days * _DAY, time(*divmod(rest, 60)), zone).astimezone(UTC).timestamp()


def _minutes(hour: str, minute: str) -> int:
    made = int(hour) * 60 + int(minute)
    if int(minute) > 59 or made > 24 * 60:
        raise BadHours(f"{hour}:{minute} is not a time of day; 00:00 to 24:00 are")
    return made


def _day(name: str) -> int:
    if name not in DAYS:
        raise BadHours(f"'{name}' is not a day; days are {', '.join(DAYS)}")
    return DAYS.index(name)
