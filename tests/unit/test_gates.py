"""What is missing before an endpoint goes on, in words; and when it goes back by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from wrapper.migration.decide import Standing
from wrapper.migration.evidence import Seen
from wrapper.migration.facts import Epoch, Facts, bucket
from wrapper.migration.gates import Gate, anew, look, look_at_write, more
from wrapper.migration.rollback import fires
from wrapper.operation import Gates, RollBack
from wrapper.units import percent, spell

NOW, HOUR, DAY = 1_800_000_000.0, 3600.0, 86_400.0
GATES = Gates(
    limit=0.01, confidence=0.95, period=2 * DAY, unseen=0.05, must_have_seen={"kind": ("current", "loan"), "status": ("404",)},
    errors=0.01, p95_ratio=1.2, score_drift=0.001, score_flips=0.001,
)  # fmt: skip
EPOCH = Epoch("accounts.list", "1.4", "c1", "compare: {}")
GOOD = Facts(
    EPOCH, NOW - 3 * DAY, NOW, Seen(600, 0), Seen(40, 0), 240,
    {
        "equal": 970, "different": 0, "dropped": 20, "unasked": 10, "kind=current": 900, "kind=loan": 3, "status=404": 1,
        "asked_modern": 1000, "failed_modern": 2, "scored": 500, "score_distance": 0.05, "score_flips": 0,
        f"took:legacy:{bucket(0.060)}": 990, f"took:legacy:{bucket(0.5)}": 10, f"took:modern:{bucket(0.050)}": 1000,
    },
)  # fmt: skip


def seen(keys: int, differed: int, day: int = 240, **changes: object) -> Facts:
    return replace(GOOD, seen=Seen(keys, differed), day=day, **changes)  # type: ignore[arg-type]


def counted(**counts: float) -> Facts:
    return replace(GOOD, counts=GOOD.counts | counts)


def without(*names: str) -> Facts:
    return replace(GOOD, counts={name: n for name, n in GOOD.counts.items() if not name.startswith(names)})


def gate(name: str, facts: Facts | None, gates: Gates = GATES) -> Gate:
    return next(each for each in look("accounts.list", facts, gates, NOW) if each.name == name)


def test_good_evidence_meets_every_gate_and_waits_for_nothing() -> None:
    gates = look("accounts.list", GOOD, GATES, NOW)
    assert [each.name for each in gates] == [
        "parity", "unseen", "period", "must have seen", "errors", "p95", "score drift", "score flips",
    ]  # fmt: skip
    assert [(str(each), each.wait) for each in gates if not each.met or each.ahead or each.wait != 0] == []


def test_without_any_evidence_no_gate_is_met() -> None:
    assert [each.name for each in look("accounts.list", None, GATES, NOW) if each.met] == []


def test_only_what_the_file_asks_for_is_looked_at() -> None:
    assert [each.name for each in look("a.b", None, Gates(0.01, 0.95, 0.0), NOW)] == ["parity", "unseen", "period"]


TOLD: Mapping[str, tuple[str, Facts, str]] = {
    "parity, how many more": (
        "parity", seen(213, 1),
        "parity: 212 distinct keys agree, 1 differ; at least 99% at 95% confidence: needs about 2,107 more keys like these:"
        " 8 d 19 h at today's 10 new keys an hour",
    ),
    "parity, of an hour": (
        "parity", seen(213, 0, 213, began=NOW - HOUR),
        "parity: 213 distinct keys agree, 0 differ; at least 99% at 95% confidence: needs about 236 more keys like these:"
        " 1 h 7 min at today's 213 new keys an hour",
    ),
    "parity, of a while": (
        "parity", seen(213, 0, 213, began=NOW - 40),
        "parity: 213 distinct keys agree, 0 differ; at least 99% at 95% confidence: needs about 236 more keys like these:"
        " 45 s at the rate of the last 40 s",
    ),
    "parity, never": (
        "parity", seen(300, 9),
        "parity: 291 distinct keys agree, 9 differ; at least 99% at 95% confidence: will not be shown at this rate;"
        " look at `figway migrate samples accounts.list`",
    ),
    "parity, no traffic": (
        "parity", seen(213, 0, 0),
        "parity: 213 distinct keys agree, 0 differ; at least 99% at 95% confidence: needs about 236 more keys like these,"
        " and none came today",
    ),
    "parity, noise": (
        "parity", seen(300, 9, noise=Seen(50, 2)),
        "parity: 291 distinct keys agree, 9 differ; at least 99% at 95% confidence: will not be shown at this rate;"
        " look at `figway migrate samples accounts.list`; legacy differs with itself for 2 of 50 keys asked twice, which is more than the"
        " limit: while that is so this can't be met, for a reason that is not the modern side's",
    ),
    "unseen": (
        "unseen", counted(dropped=212, unasked=14, equal=3400, different=19),
        "unseen: 6.2% of comparisons due were not made (212 dropped, 14 unasked); at most 5%",
    ),
    "unseen, another date": (
        "unseen", counted(**{"dropped": 0, "unasked": 0, "equal": 90, "different": 0, "skipped:other business dates": 10, "skipped": 14}),
        "unseen: 10% of comparisons due were not made (0 dropped, 0 unasked, 10 of another date); at most 5%",
    ),
    "period": (
        "period", replace(GOOD, began=NOW - 28 * HOUR), "period: compared for 1 d 4 h; at least 2 d: 20 h more",
    ),
    "must have seen": (
        "must have seen", without("kind=loan", "status"),
        "must have seen: no answer of kind=loan, status=404 yet; each of kind=current, kind=loan, status=404",
    ),
    "errors": ("errors", counted(asked_modern=1200, failed_modern=25), "errors: modern failed 2.08% of 1,200; at most 1%"),
    "slower": (
        "p95", replace(GOOD, counts=GOOD.counts | {f"took:modern:{bucket(0.09)}": 500}),
        "p95: modern 97 ms, legacy 60 ms: 1.61 times; at most 1.2 times",
    ),
    "untimed": ("p95", without("took:modern"), "p95: no answer of modern was timed yet; at most 1.2 times"),
    "drift": (
        "score drift", counted(score_distance=2.5), "score drift: scores are 0.005 apart on average of 500; at most 0.001",
    ),
    "unscored": ("score drift", without("scored"), "score drift: no two scores were compared yet; at most 0.001"),
    "flips": ("score flips", counted(score_flips=1), "score flips: 0.2% of 500 decisions differ; at most 0.1%"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "facts", "said"), TOLD.values(), ids=TOLD.keys())
def test_a_gate_that_is_not_met_says_what_is_there_and_what_it_takes(name: str, facts: Facts, said: str) -> None:
    met = gate(name, facts)
    assert not met.met
    assert str(met) == said


def test_at_its_limit_a_gate_is_met() -> None:
    met = counted(dropped=50, unasked=0, equal=950, failed_modern=10, score_distance=0.5)
    assert all(gate(name, met).met for name in ("unseen", "errors", "score drift"))
    assert gate("period", replace(GOOD, began=NOW - 2 * DAY)).met


def test_a_period_in_which_nothing_is_compared_shows_nothing() -> None:
    assert not gate("period", replace(GOOD, began=NOW - 9 * DAY, last=NOW - 8 * DAY)).met


def test_the_wait_is_told_in_seconds_too() -> None:
    assert gate("parity", seen(213, 1)).wait == pytest.approx(2107 / 10 * HOUR)
    assert gate("parity", seen(300, 9)).wait is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (7.2, "8 s"), (60, "1 min"), (61, "1 min 1 s"), (7800, "2 h 10 min"), (273_600, "3 d 4 h"), (86_399, "24 h")],
)
def test_times_are_told_in_two_units_and_never_too_short(seconds: float, text: str) -> None:
    assert spell(seconds) == text


def test_shares_are_told_with_the_digits_that_they_have() -> None:
    assert [percent(share) for share in (1 - 0.001, 0.9995, 0.05, 1.0, 0.0)] == ["99.9%", "99.95%", "5%", "100%", "0%"]


def test_a_write_waits_for_the_reads_of_its_group_and_for_writes_that_hang() -> None:
    wanted = Standing("canary", Decimal("0.1"), {"claims-ui": Decimal(1)})
    reads = {
        "a.get": Standing("modern"), "b.get": Standing("canary", Decimal("0.2")), "c.get": Standing("shadow"),
        "d.get": Standing("canary", Decimal("0.1"), {"claims-ui": Decimal(1)}),
    }  # fmt: skip
    assert [str(each) for each in look_at_write(2, reads, wanted)] == [
        "writes: 2 that one side has and the other lacks; none: see `figway migrate reconcile`",
        "reads: b.get, c.get not yet; each read of the group on the modern side for at least this share: move these first",
    ]
    assert all(each.met for each in look_at_write(0, {"a.get": Standing("modern"), "d.get": reads["d.get"]}, wanted))


def test_who_has_more_on_the_modern_side_is_told_by_consumer() -> None:
    ten, pinned = Standing("canary", Decimal("0.1")), Standing("canary", Decimal("0.1"), {"batch": Decimal(0)})
    assert more(ten, pinned)
    assert not more(pinned, ten)
    assert more(Standing("modern"), ten)
    assert not more(Standing("retired"), Standing("modern"))
    assert not more(Standing("shadow"), Standing("legacy"))


def test_evidence_that_begins_anew_says_when_and_why() -> None:
    now = Epoch("accounts.list", "1.5", "c1", "compare: {decimal: 0.01}")
    assert anew(now, EPOCH, NOW) == (
        "evidence began anew 2027-01-15 08:00:00Z: another build of the modern side (1.4, now 1.5),"
        " other rules (compare: {}, now compare: {decimal: 0.01})"
    )
    assert anew(replace(EPOCH, catalogue="c2"), EPOCH, NOW).endswith(": another text of the endpoint's file")


RULE = RollBack(300.0, 200, errors=0.01, parity=0.995)


@pytest.mark.parametrize(
    ("recent", "why"),
    [
        ({}, ""),
        ({"served:modern": 200, "failed:modern": 2}, ""),
        ({"served:modern": 200, "failed:modern": 3}, "1.5% of modern's last 200 answers were errors; at most 1%"),
        ({"served:modern": 199, "failed:modern": 199}, ""),
        ({"served:modern": 199, "failed:modern": 199, "compared": 5000, "different": 0}, ""),
        ({"compared": 400, "different": 2}, ""),
        ({"compared": 400, "different": 3}, "99.25% of the last 400 comparisons were equal; at least 99.5%"),
        ({"compared": 199, "different": 199, "served:modern": 5000}, ""),
    ],
)
def test_an_endpoint_goes_back_when_enough_was_bad_and_not_before(recent: dict[str, float], why: str) -> None:
    assert fires(RULE, recent) == why


def test_a_rule_without_a_share_does_not_look_at_it() -> None:
    bad = {"served:modern": 500, "failed:modern": 500, "compared": 500, "different": 500}
    assert fires(replace(RULE, errors=None, parity=None), bad) == ""
