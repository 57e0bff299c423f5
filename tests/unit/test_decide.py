"""Which side answers: sticky by key, the same for all endpoints of a group, and never a surprise."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.migration.decide import Choice, Standing, decide, part
from wrapper.operation import PARTS, Stage

KEYS = [f"{n:010}" for n in range(20_000)]
SHARES = st.integers(0, PARTS).map(lambda n: Decimal(n) / PARTS)


def canary(share: str, **consumers: str) -> Standing:
    return Standing("canary", Decimal(share), {name: Decimal(value) for name, value in consumers.items()})


def modern(standing: Standing, consumer: str = "anybody", group: str = "customer") -> set[str]:
    return {key for key in KEYS if decide(standing, group, key, consumer).side == "modern"}


@pytest.mark.parametrize(
    ("stage", "side", "evidence"),
    [("legacy", "legacy", False), ("shadow", "legacy", True), ("modern", "modern", True), ("retired", "modern", False)],
)
def test_all_but_a_canary_is_answered_by_one_side(stage: Stage, side: str, evidence: bool) -> None:
    assert decide(Standing(stage, Decimal("0.5")), "customer", "1", "anybody") == Choice(side, evidence)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", ["0", "0.01", "0.2", "1"])
def test_a_share_of_the_keys_is_on_the_modern_side(share: str) -> None:
    wanted = float(share) * len(KEYS)
    assert len(modern(canary(share))) == pytest.approx(wanted, abs=5 * (wanted * (1 - float(share))) ** 0.5)


@given(SHARES, SHARES)
def test_a_share_that_grows_takes_keys_over_and_gives_none_back(one: Decimal, other: Decimal) -> None:
    few, many = sorted((one, other))
    for key in KEYS[:200]:
        if decide(Standing("canary", few), "customer", key, "anybody").side == "modern":
            assert decide(Standing("canary", many), "customer", key, "anybody").side == "modern"


def test_groups_take_different_keys_over_first() -> None:
    both = modern(canary("0.1")) & modern(canary("0.1"), group="payment")
    assert len(both) == pytest.approx(0.01 * len(KEYS), rel=0.3)


def test_parts_are_of_equal_size_and_stay_where_they_are() -> None:
    tenths = Counter(part("customer", key) * 10 // PARTS for key in KEYS)
    assert all(count == pytest.approx(len(KEYS) / 10, rel=0.1) for count in tenths.values())
    assert [part("customer", key) for key in ("0000012345", "", "é")] == [8253, 7110, 5049]  # a change would move customers


def test_a_consumer_that_is_named_stands_for_itself() -> None:
    standing = canary("0.5", **{"claims-ui": "1", "batch-recon": "0"})
    assert len(modern(standing, "claims-ui")) == len(KEYS)
    assert not modern(standing, "batch-recon")
    assert modern(standing) == modern(canary("0.5"))


@pytest.mark.parametrize("stage", ["legacy", "shadow", "canary", "modern"])
def test_a_testers_wish_is_granted_and_is_no_evidence(stage: Stage) -> None:
    for side in ("legacy", "modern"):
        assert decide(Standing(stage), "customer", "1", "tester", side) == Choice(side, evidence=False)  # type: ignore[arg-type]


def test_what_is_retired_is_not_to_be_had_any_more() -> None:
    assert decide(Standing("retired"), "customer", "1", "tester", "legacy") == Choice("modern", evidence=False)


@pytest.mark.parametrize("share", ["-0.1", "1.1", "0.00001"])
def test_a_share_that_can_not_be_kept_is_refused(share: str) -> None:
    with pytest.raises(ValueError, match=r"expected 0 to 100% in steps of 0\.01%"):
        Standing("canary", Decimal(share))
    with pytest.raises(ValueError, match="claims-ui"):
        canary("0", **{"claims-ui": share})
