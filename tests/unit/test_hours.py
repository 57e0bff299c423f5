"""Business hours: windows, days, midnight, and the two nights a year on which clocks change."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from adapters.hours import BadHours, parse, span

LONDON = ZoneInfo("Europe/London")


def at(text: str, zone: ZoneInfo = LONDON) -> float:
    """`2026-11-26 07:00` on the zone's clock; `*` is the second of two such times."""
    return datetime.fromisoformat(text.rstrip("*")).replace(tzinfo=zone, fold=text.endswith("*")).timestamp()


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        ("07:00-21:30 Mon-Sat", "2026-11-26 07:00", "2026-11-26 21:30"),
        ("07:00-21:30 Mon-Sat", "2026-11-26 21:29", "2026-11-26 21:30"),
        ("22:00-06:00 Mon-Fri", "2026-11-28 05:59", "2026-11-28 06:00"),  # Saturday morning: Friday's window
        ("22:00-06:00 Sat-Mon", "2026-11-30 23:00", "2026-12-01 06:00"),
        ("18:00-00:00", "2026-11-26 23:59", "2026-11-27 00:00"),
        ("00:00-24:00 Sun", "2026-11-29 23:59", "2026-11-30 00:00"),
        ("23:00-03:00", "2026-03-28 23:00", "2026-03-29 03:00"),  # an hour shorter
    ],
)
def test_it_is_open_within_its_window(hours: str, now: str, until: str) -> None:
    found = span(parse(hours, LONDON), at(now))
    assert (found.open, found.until) == (True, at(until))


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        ("07:00-21:30 Mon-Sat", "2026-11-26 21:30", "2026-11-27 07:00"),
        ("07:00-21:30 Mon-Sat", "2026-11-28 21:30", "2026-11-30 07:00"),  # over the Sunday
        ("07:00-21:30", "2026-11-28 22:00", "2026-11-29 07:00"),
        ("22:00-06:00 Mon-Fri", "2026-11-30 03:00", "2026-11-30 22:00"),  # Sunday has no window that ends on Monday
        ("09:00-10:00 Wed", "2026-11-25 10:00", "2026-12-02 09:00"),
        ("07:00-21:30", "2026-03-28 22:00", "2026-03-29 07:00"),  # nine hours on the clock, eight to wait
        ("07:00-21:30", "2026-10-24 22:00", "2026-10-25 07:00"),
        ("00:30-01:30", "2026-10-25 01:15*", "2026-10-26 00:30"),  # the second 01:15: it closed at the first 01:30
    ],
)
def test_it_is_closed_until_it_opens(hours: str, now: str, opens: str) -> None:
    found = span(parse(hours, LONDON), at(now))
    assert (found.open, found.until) == (False, at(opens))
    assert found.since <= at(now)


def test_a_night_in_which_the_clocks_go_forward_is_an_hour_shorter() -> None:
    found = span(parse("07:00-21:30", LONDON), at("2026-03-28 22:00"))
    assert found.until - at("2026-03-28 22:00") == 8 * 3600


def test_a_window_whose_beginning_is_skipped_begins_as_much_later() -> None:
    found = span(parse("01:30-05:00", LONDON), at("2026-03-29 00:59"))
    assert found.until == at("2026-03-29 02:30")


def test_every_moment_lies_in_its_span_and_spans_meet() -> None:
    hours, now = parse("22:00-06:00 Mon-Fri", LONDON), at("2026-03-23 12:00")
    until = at("2026-04-01 12:00")
    while now < until:
        found = span(hours, now)
        assert found.since <= now < found.until
        assert span(hours, found.until).open is not found.open
        now = found.until


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7-21", "are written like 07:00-21:30 Mon-Sat"),
        ("07:00-07:00", "begins where it ends"),
        ("24:00-06:00", "begins where it ends"),
        ("07:60-08:00", "07:60 is not a time of day"),
        ("07:00-24:01", "24:01 is not a time of day"),
        ("07:00-21:30 Mon-Sut", "'Sut' is not a day; days are Mon, "),
    ],
)
def test_nonsense_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadHours, match=says):
        parse(text, LONDON)
