"""How far the migration is: what is counted as what, what is named as a blocker, how sure the forecast is, and how it is printed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.unit.small import join, operation
from wrapper import units
from wrapper.migration import burndown_shown as shown
from wrapper.migration import consumption
from wrapper.migration.burndown import FREE, Burndown, Known, burndown
from wrapper.migration.consumption import Consumption
from wrapper.migration.decide import Standing
from wrapper.migration.forecast import forecast
from wrapper.migration.moves import Move, Proposal
from wrapper.operation import Migration, Operation, Part, Stage

LEGACY = operation().legacy


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = at("2026-11-26T12:00")


def row(endpoint: str, consumer: str, side: str, day: str, calls: int, seconds: float = 0.0) -> Consumption:
    return Consumption(endpoint, consumer, side, day, calls, seconds, at(f"{day}T08:00"), at(f"{day}T09:30"))


def move(endpoint: str, number: int, day: str, stage: Stage, share: str = "0") -> Move:
    return Move(endpoint, number, at(f"{day}T10:00"), Standing(stage, Decimal(share)), "anna", "", "", "")


def endpoint(name: str, modern: bool = True, effect: Any = "read", **terms: Any) -> Operation:
    return operation(name, modern=LEGACY if modern else None, effect=effect, migration=Migration(**{"highest": "modern", **terms}))


def told(*operations: Operation, now: float = NOW, **known: Any) -> Burndown:
    return burndown(operations, Known(**known), now)


def stages(made: Burndown) -> list[Mapping[Stage, int]]:
    return [dict(count.stages) for count in made.counts]


def blockers(made: Burndown) -> dict[str, Sequence[str]]:
    return {blocked.endpoint: blocked.why for blocked in made.blocked}


# --- who still calls


def test_consumers_are_told_by_side_for_7_and_30_days_with_first_and_last_call() -> None:
    rows = [
        row("a.get", "ui", "legacy", "2026-11-26", 1),
        row("a.get", "ui", "modern", "2026-11-20", 10),
        row("a.get", "ui", "legacy", "2026-11-19", 100),
        row("a.get", "ui", "legacy", "2026-10-28", 1000),
        row("a.get", "ui", "legacy", "2026-10-27", 10_000),
        row("a.get", "batch", "legacy", "2026-11-25", 7),
    ]
    ui, batch = consumption.consumers(rows, NOW)
    assert (ui.legacy_week, ui.modern_week, ui.legacy_month, ui.modern_month) == (1, 10, 1101, 10)
    assert (units.minute(ui.first), units.minute(ui.last)) == ("2026-10-27 08:00", "2026-11-26 09:30")
    assert consumption.lines([ui, batch]) == [
        "endpoint  consumer  legacy 7d  modern 7d  legacy 30d  modern 30d  first call (UTC)   last call (UTC)",
        "a.get     ui                1         10       1,101          10  2026-10-27 08:00  2026-11-26 09:30",
        "a.get     batch             7          0           7           0  2026-11-25 08:00  2026-11-25 09:30",
    ]
    assert consumption.data([batch])[0]["last_7_days"] == {"legacy": 7, "modern": 0}


def test_nobody_is_told_as_nobody() -> None:
    assert consumption.lines(consumption.consumers([], NOW)) == ["nobody has called yet"]


# --- endpoints by stage


def test_endpoints_are_counted_by_stage_at_the_end_of_each_day_since_the_first_move() -> None:
    moves = [move("a", 1, "2026-11-24", "shadow"), move("a", 2, "2026-11-25", "modern"), move("b", 1, "2026-11-26", "shadow")]
    assert stages(told(endpoint("a"), endpoint("b"), moves=moves[::-1])) == [
        {"shadow": 1, "legacy": 1},
        {"modern": 1, "legacy": 1},
        {"modern": 1, "shadow": 1},
    ]


def test_joins_are_not_counted_and_what_has_no_modern_side_is_on_legacy() -> None:
    made = told(join([Part("one", "a", {})], []), endpoint("a", modern=False))
    assert stages(made) == [{"legacy": 1}]
    assert blockers(made) == {"a": ("no modern side",)}


def test_an_endpoint_whose_file_is_gone_counts_only_if_it_was_retired() -> None:
    moves = [move("old", 1, "2026-11-26", "retired"), move("renamed", 1, "2026-11-26", "canary")]
    assert stages(told(endpoint("a"), moves=moves)) == [{"legacy": 1, "retired": 1}]


@pytest.mark.parametrize("first", ["2026-11-06", "2026-11-05", "2026-05-01", "2019-01-01"])
def test_a_long_history_has_few_rows_the_first_day_and_now(first: str) -> None:
    made = told(endpoint("a"), moves=[move("a", 1, first, "shadow")])
    assert 3 <= len(made.counts) <= 21
    assert units.day(made.counts[0].at - 1) == first
    assert made.counts[-1].at == NOW
    assert all(count.stages == {"shadow": 1} for count in made.counts)


# --- what is left on legacy


def test_calls_left_and_seconds_freed_by_the_mean_of_the_same_endpoint_on_legacy() -> None:
    rows = [
        row("a", "ui", "legacy", "2026-11-25", 30, 60.0),
        row("a", "ui", "modern", "2026-11-26", 10, 1.0),
        row("b", "ui", "legacy", "2026-11-26", 10, 5.0),
        row("new", "ui", "modern", "2026-11-26", 20, 5.0),
    ]
    first, today = told(endpoint("a", sample_modern=0.05), endpoint("b"), endpoint("new"), calls=rows).days
    assert (first.day, first.legacy, first.modern, first.seconds, first.freed) == ("2026-11-25", 30, 0, 60.0, 0.0)
    assert (today.legacy, today.modern, today.seconds) == (10, 30, 5.0)
    assert today.freed == pytest.approx(10 * 2.0 * 0.95)  # of ten calls legacy is still asked for a sample


def test_a_dual_write_frees_nothing() -> None:
    rows = [row("a", "ui", "legacy", "2026-11-25", 1, 2.0), row("a", "ui", "modern", "2026-11-26", 1)]
    assert [told(endpoint("a", effect="write", writes=w), calls=rows).days[-1].freed for w in ("dual", "modern_only")] == [0.0, 2.0]


def test_the_last_14_days_are_told() -> None:
    assert [d.day for d in told(endpoint("a"), calls=[row("a", "ui", "legacy", "2025-01-01", 1)]).days][::13] == [
        "2026-11-13",
        "2026-11-26",
    ]
    assert told(endpoint("a")).days == ()


# --- blockers


def test_each_thing_in_the_way_is_named() -> None:
    frozen = (datetime(2026, 11, 20, tzinfo=UTC), datetime(2027, 1, 5, tzinfo=UTC))
    made = told(
        endpoint("a", highest="canary", freezes=(frozen,)),
        legs={"a": 3},
        gates={"a": ["1,204 more keys, about 3 days"]},
        proposals=[Proposal("a", NOW - 60, Standing("canary", Decimal("0.07")), "anna", "", "")],
    )
    assert blockers(made)["a"] == (
        "its file allows canary at most (highest_stage)",
        "1,204 more keys, about 3 days",
        "frozen until 2027-01-05 00:00 UTC",
        "3 open reconcile item(s): writes that one side lacks",
        "canary 7%, proposed by anna, waits for a second person since 2026-11-26 11:59 UTC",
    )


@pytest.mark.parametrize("stage", ["legacy", "modern"])
def test_a_sunset_that_has_passed_names_who_still_calls_and_when_last(stage: Stage) -> None:
    op = endpoint("a", sunset=date(2026, 11, 26))
    moves = [move("a", 1, "2026-11-01", stage)]
    rows = [row("a", "ui", "modern", "2026-11-25", 1), row("a", "old", "legacy", "2026-01-01", 1), row("b", "x", "legacy", "2026-11-25", 1)]
    assert blockers(told(op, moves=moves, calls=rows))["a"] == (
        "the sunset 2026-11-26 has passed; still called by ui (last 2026-11-25 09:30 UTC)",
    )
    assert blockers(told(op, moves=moves))["a"] == (
        "the sunset 2026-11-26 has passed; nobody has called for 30 days: a person may retire it",
    )
    assert blockers(told(op, moves=moves, now=at("2026-11-25T23:59"))).get("a", (FREE,)) == (FREE,)


@pytest.mark.parametrize("stage", ["modern", "retired"])
def test_what_is_at_its_end_is_not_blocked(stage: Stage) -> None:
    op = endpoint("a", sunset=date(2027, 1, 1) if stage == "modern" else date(2020, 1, 1))
    assert blockers(told(op, moves=[move("a", 1, "2026-11-01", stage)], gates={"a": ["keys"]})) == {}


# --- the forecast


def arrivals(seed: int, together: int) -> list[float]:
    """20 endpoints that come at a constant rate of one a day, up to so many at once."""
    chance, now, times = random.Random(seed), 0.0, []
    while len(times) < 20:
        now += chance.expovariate(1.0)
        times += [now] * chance.randint(1, together)
    return times[:20]


@pytest.mark.parametrize(("together", "days"), [(1, 6.0), (3, 5.0)])
def test_the_interval_holds_what_then_happens_in_four_of_five_cases(together: int, days: float) -> None:
    held = []
    for times in (arrivals(seed, together) for seed in range(500)):
        seen = [when for when in times if when <= days]
        made = forecast(seen, 20 - len(seen), 0.0, days)
        if made is not None and len(seen) < 20:
            held.append(made.early <= times[-1] <= made.late)
    assert len(held) > 400
    assert 0.7 < sum(held) / len(held) < 0.9


def test_endpoints_that_came_in_one_move_show_no_pace() -> None:
    assert forecast([5.0] * 6, 4, 0.0, 10.0) is None
    assert forecast([5.0, 6.0], 4, 0.0, 10.0) is not None


def test_the_more_is_left_the_later_and_never_before_now() -> None:
    made = [forecast([2.0, 3.0, 5.0], left, 0.0, 10.0) for left in (1, 5, 50, 500)]
    assert all(f is not None and 10.0 < f.early < f.middle < f.late for f in made)
    assert sorted(f.middle for f in made if f) == [f.middle for f in made if f]


def test_a_forecast_is_told_with_its_interval_or_not_at_all() -> None:
    ends = [move(name, 1, f"2026-11-{day}", "modern") for name, day in (("a", "02"), ("b", "12"), ("c", "20"))]
    rest = [endpoint(name) for name in "abcd"]
    assert shown.forecasts(told(*rest, moves=ends[:1])) == [
        "1 of 4 endpoints with a modern side are on modern or retired; no forecast: only 1 endpoint has reached modern"
    ]
    assert shown.forecasts(told(*rest, moves=[]))[0].endswith("no forecast: no endpoint has reached modern")
    able, everything = shown.forecasts(told(*rest, endpoint("e", modern=False), moves=ends))
    assert re.fullmatch(
        r"3 of 4 .* between 2026-\d\d-\d\d and 202\d-\d\d-\d\d \(80% sure; as likely before 202\d-\d\d-\d\d as after it\)", able
    )
    assert everything.startswith("3 of 5 endpoints are on modern or retired; at the pace so far")
    assert shown.forecasts(told(*rest[:3], moves=ends)) == ["3 of 3 endpoints with a modern side are on modern or retired: done"]


def test_an_endpoint_that_went_back_has_not_arrived() -> None:
    moves = [move("a", 1, "2026-11-02", "modern"), move("a", 2, "2026-11-03", "shadow"), move("b", 1, "2026-11-04", "modern")]
    assert told(endpoint("a"), endpoint("b"), moves=moves).outlooks[0].reached == 1


# --- how it is printed

BUSY = told(
    endpoint("a"),
    replace(endpoint("b", modern=False), name="<script>alert(1)</script>"),
    moves=[move("a", 1, "2026-11-24", "shadow"), move("a", 2, "2026-11-25", "modern")],
    calls=[row("a", "ui", "legacy", "2026-11-25", 1234, 4320.0), row("a", "ui", "modern", "2026-11-26", 1)],
)


def test_the_text_has_its_parts_in_columns() -> None:
    assert (
        "\n".join(shown.lines(BUSY))
        == """\
Burndown as of 2026-11-26 12:00 UTC

Endpoints by stage
  end of day  legacy  shadow  canary  modern  retired
  2026-11-24       1       1       0       0        0
  2026-11-25       1       0       0       1        0
  now              1       0       0       1        0

Calls left on legacy
  day (UTC)   legacy  modern    left  legacy s  sessions busy  freed s  sessions freed
  2026-11-25   1,234       0  100.0%     4,320          0.050        0           0.000
  2026-11-26       0       1    0.0%         0          0.000        3           0.000
  sessions busy, sessions freed: these seconds as host sessions that are busy all day; today is not over

What stands in the way
  <script>alert(1)</script> (legacy)
    no modern side

Forecast
  1 of 1 endpoints with a modern side are on modern or retired: done
  1 of 2 endpoints are on modern or retired; no forecast: only 1 endpoint has reached modern"""
    )


def test_the_data_are_json_and_have_no_date_without_its_interval() -> None:
    made = json.loads(json.dumps(shown.data(BUSY)))
    assert made["stages"][0] == {"at": "2026-11-25T00:00:00Z", "legacy": 1, "shadow": 1, "canary": 0, "modern": 0, "retired": 0}
    assert made["calls"][0] == {"day": "2026-11-25", "legacy": 1234, "modern": 0, "left": 1.0, "seconds": 4320.0, "freed": 0.0}
    assert [outlook["all"] for outlook in made["forecast"]] == [None, None]
    moves = [move(name, 1, f"2026-11-{day}", "modern") for name, day in (("a", "02"), ("b", "12"))]
    between = shown.data(told(*(endpoint(name) for name in "abc"), moves=moves))["forecast"][0]["all"]
    assert set(between) == {"sure", "early", "middle", "late"}


@pytest.mark.parametrize("made", [BUSY, told(), told(endpoint("a"))], ids=["busy", "empty", "never moved"])
def test_the_page_is_whole_and_runs_nothing(made: Burndown) -> None:
    page = shown.page(made)
    body = page[page.index("<body>") : page.index("</body>") + len("</body>")]
    svg = ElementTree.fromstring(body).find("{http://www.w3.org/2000/svg}svg")
    assert svg is not None
    assert len(svg.findall("{http://www.w3.org/2000/svg}polygon")) == 5
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
