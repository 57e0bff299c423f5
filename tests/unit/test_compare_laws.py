"""Whatever two answers hold, the verdict on them keeps the laws of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.planted import MORE, compared, found
from wrapper.migration.compare import Verdict
from wrapper.migration.rules import Rules
from wrapper.operation import Field

scalars = (
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(max_size=4) | st.times()
    | st.floats(allow_nan=False, allow_infinity=False) | st.dates() | st.datetimes(timezones=st.sampled_from([None, UTC, MORE]))
)  # fmt: skip
names = st.sampled_from("abcd")
canonical = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8)
answers = st.lists(st.dictionaries(names, canonical, max_size=4), max_size=4)
contracts = st.sets(names, max_size=2).map(lambda keyed: tuple(Field(n, "string", key=n in keyed) for n in "abcd"))
limits = st.builds(
    Rules, st.frozensets(st.sampled_from(["items.a", "items.b.a"])), st.sampled_from([Decimal(0), Decimal("0.5")]),
    st.sampled_from([None, "a"]), st.dictionaries(st.sampled_from(["items.c", "items.d"]), st.sampled_from([Decimal(1), timedelta(1)])),
    st.frozensets(st.sampled_from(["items", "items.b"])),
)  # fmt: skip
OTHER_WAY = {"missing": "extra", "extra": "missing"}


@given(answers, contracts, limits)
@settings(max_examples=100)
def test_an_answer_equals_itself(rows: Any, fields: Any, by: Rules) -> None:
    assert compared(rows, deepcopy(rows), by, fields) == Verdict("equal")


@given(answers, answers, contracts, limits)
@settings(max_examples=150)
def test_the_other_way_round_the_same_differs_and_missing_is_extra(one: Any, other: Any, fields: Any, by: Rules) -> None:
    there, back = compared(one, other, by, fields), compared(other, one, by, fields)
    assert Counter((d.path, OTHER_WAY.get(d.kind, d.kind)) for d in there.differences) == Counter(
        (d.path, d.kind) for d in back.differences
    )


@given(st.data(), answers, contracts, limits)
@settings(max_examples=100)
def test_a_permutation_is_equal_where_order_says_nothing(data: st.DataObject, rows: Any, fields: Any, by: Rules) -> None:
    permuted = data.draw(st.permutations(rows))
    assert compared(rows, permuted, by | Rules(unordered=frozenset({"items"})), fields) == Verdict("equal")


@given(st.data(), st.lists(st.fixed_dictionaries({"b": scalars, "c": scalars}), min_size=1, max_size=5), scalars)
@settings(max_examples=100)
def test_one_changed_value_is_the_one_difference(data: st.DataObject, rows: list[Mapping[str, Any]], value: Any) -> None:
    control = [{"a": n, **r} for n, r in enumerate(rows)]
    at, name = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.sampled_from("bc"))
    changed = [{**r, name: value} if r["a"] == at else r for r in control]
    met = control[at][name]
    alike = type(met) is type(value) and met == value and getattr(met, "tzinfo", None) == getattr(value, "tzinfo", None)
    verdict = compared(control, changed, fields=(Field("a", "integer", key=True),))
    assert [d.where for d in verdict.differences] == ([] if alike else [f"items[{at}].{name}"])


@given(canonical | st.floats() | st.decimals(), canonical | st.decimals() | st.binary(), limits)
@settings(max_examples=150)
def test_whatever_two_values_are_a_verdict_comes_of_it(one: Any, other: Any, by: Rules) -> None:
    for rows in ([{"c": one}], [{"a": one, "b": [one], "d": {"c": one}}], [one]):
        assert compared(rows, [{"c": other}], by).outcome in ("equal", "different")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), b"x", {1}])
def test_what_is_not_canonical_does_not_even_equal_itself(value: Any) -> None:
    assert found(compared([{"c": value, "t": time(1)}], [{"c": value, "t": time(1)}])) == [("items[0].c", "type", "not a canonical value")]
