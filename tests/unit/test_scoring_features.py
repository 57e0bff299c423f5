"""Expressions: what parses, what is said of what does not, and what they give over the parts' answers."""

import subprocess
import sys
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadFacts
from scoring.features import FUNCTIONS, BadExpression, evaluate, parse, references

TODAY = date(2026, 11, 24)
FACTS: dict[str, Any] = {
    "": {"balance": Decimal("7.00")},
    "customer": {"assets": Decimal("3000.00"), "debt": None, "since": date(2026, 11, 1), "seen": datetime(2026, 11, 23, 23, 59)},
    "accounts": [{"balance": Decimal("0.10"), "kind": "savings"}, {"balance": Decimal("0.20"), "kind": "loan"}],
    "gaps": [{"balance": Decimal("0.10")}, {"balance": None}],
    "none": [],
    "one": [{"income": 129}],
    "floats": [{"x": 0.1}] * 10,
    "mixed": [{"x": 0.1}, {"x": Decimal("0.1")}],
    "bureau": {"searches": [{"by": "BANK", "days": 3}, {"by": "SHOP", "days": 9}], "records": False, "grade": None},
    "application": {"job": "fixed"},
    "down": None,
}


def value(source: str) -> Any:
    return evaluate(parse(source), FACTS, TODAY)


@pytest.mark.parametrize(
    "source, expected",
    [
        ("balance", Decimal("7.00")),
        ("customer.assets", Decimal("3000.00")),
        (" field( customer . assets ) ", Decimal("3000.00")),
        ("customer.debt", None),
        ("customer.unheard_of", None),
        ("bureau.records", False),
        ("one.income", 129),
        ("none.income", None),
        ("sum(accounts.balance)", Decimal("0.30")),
        ("mean(accounts.balance)", Decimal("0.15")),
        ("min(accounts.balance)", Decimal("0.10")),
        ("max(accounts.balance)", Decimal("0.20")),
        ("sum(floats.x)", 1.0),
        ("sum(bureau.searches.days)", 12),
        ("mean(bureau.searches.days)", 6),
        ("sum(customer.assets)", Decimal("3000.00")),
        ("sum(none.balance)", 0),
        ("mean(none.balance)", None),
        ("min(none.balance)", None),
        ("sum(gaps.balance)", None),
        ("mean(gaps.balance)", None),
        ("max(gaps.balance)", None),
        ("count(gaps.balance)", 1),
        ("count(gaps)", 2),
        ("count(accounts)", 2),
        ("count(none)", 0),
        ("count(bureau.searches)", 2),
        ("count(bureau.grade)", None),
        ("days_since(customer.since)", 23),
        ("days_since(customer.seen)", 1),
        ("days_since(customer.debt)", None),
        ("rank(application.job, [partime, fixed, free-lance])", 1),
        ("rank(bureau.grade, [A, B])", None),
        ("down.x", None),
        ("count(down)", None),
        ("sum(down.x)", None),
        ("sum(absent.x)", None),
    ],
)
def test_value(source: str, expected: object) -> None:
    assert value(source) == expected
    assert type(value(source)) is type(expected) or isinstance(expected, int)


@pytest.mark.parametrize(
    "source, message",
    [
        ("accounts.balance", "expected one value, met 2"),
        ("sum(accounts.kind)", "met str"),
        ("sum(mixed.x)", "met Decimal, float"),
        ("sum(bureau.records)", "met bool"),
        ("max(mixed.y.z)", None),
        ("customer.assets.pence", "asked of a Decimal"),
        ("days_since(customer.assets)", "expected a date"),
        ("rank(application.job, [a, b])", "expected one of a, b"),
    ],
)
def test_what_can_not_be_worked_out_is_an_error_without_the_value(source: str, message: str | None) -> None:
    if message is None:
        assert value(source) is None
        return
    with pytest.raises(BadFacts, match=message) as refused:
        value(source)
    assert source in refused.value.detail
    assert "fixed" not in refused.value.detail.removeprefix(source)
    assert "3000" not in refused.value.detail


@pytest.mark.parametrize(
    "source, column, message",
    [
        ("", 1, "expected a function or a field, met the end"),
        ("smu(accounts.balance)", 1, "'smu' is not a function; did you mean 'sum'"),
        ("eval(accounts.balance)", 1, "allowed: sum, count"),
        ("sum(accounts.balance", 21, "expected '\\)', met the end"),
        ("sum()", 5, "expected a field"),
        ("sum(sum(a.b))", 8, "expected '\\)', met '\\('"),
        ("sum(a.b) + 1", 10, "expected the end, met '\\+'"),
        ("a..b", 3, "expected a field's name, met '.'"),
        ("a.b c", 5, "expected the end, met 'c'"),
        ("1 + 1", 1, "met '1'"),
        ("a.b\n", 4, "expected the end"),
        ("а.b", 1, "expected a function or a field"),
        ("rank(a.b)", 9, "expected ','"),
        ("rank(a.b, [])", 12, "expected a word"),
        ("rank(a.b, [x, x])", 15, "'x' is in the list twice"),
        ("rank(a.b, [x y])", 14, "expected ',', met 'y'"),
        ("sum(a.b, [x])", 8, "expected '\\)'"),
        ("a.__class__()", 12, "expected the end"),
    ],
)
def test_a_mistake_is_named_with_its_column(source: str, column: int, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        parse(source)
    assert isinstance(refused.value, BadExpression)
    assert refused.value.column == column


@pytest.mark.parametrize(
    "source, pair",
    [
        ("sum(accounts.balance)", ("accounts", "balance")),
        ("customer.assets", ("customer", "assets")),
        ("balance", ("", "balance")),
        ("sum(balance)", ("", "balance")),
        ("count(accounts)", ("accounts", "")),
        ("mean(bureau.searches.days)", ("bureau", "searches.days")),
        ("rank(application.job, [a, b])", ("application", "job")),
    ],
)
def test_references(source: str, pair: tuple[str, str]) -> None:
    assert references(parse(source)) == (pair,)


money = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**20), max_value=10**20)


@given(st.lists(st.none() | money, max_size=50))
def test_a_sum_is_exact_or_missing(amounts: list[Decimal | None]) -> None:
    total = evaluate(parse("sum(a.x)"), {"a": [{"x": amount} for amount in amounts]}, TODAY)
    if None in amounts:
        assert total is None
    else:
        pence = sum(int(amount.scaleb(2)) for amount in amounts if amount is not None)
        assert total == Decimal(pence).scaleb(-2)
        assert isinstance(total, Decimal) or not amounts


@given(
    st.lists(st.integers() | st.floats() | st.decimals() | st.none() | st.text() | st.booleans() | st.dates()), st.sampled_from(FUNCTIONS)
)
def test_whatever_the_rows_hold_there_is_a_value_or_a_named_error(values: list[Any], function: str) -> None:
    expression = parse(f"{function}(a.x{', [y]' if function == 'rank' else ''})")
    with suppress(BadFacts):
        evaluate(expression, {"a": [{"x": value} for value in values]}, TODAY)


@given(st.text(alphabet="sumrank(). ,[]ab_1-é\n"))
def test_any_text_parses_or_is_named_with_a_column_inside_it(source: str) -> None:
    try:
        column = len(parse(source).source)
    except BadExpression as error:
        column = error.column
    assert 1 <= column <= len(source) + 1


def test_parsing_needs_neither_numpy_nor_onnxruntime() -> None:
    script = "import sys, scoring.features; sys.exit(bool({'numpy', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], timeout=30)
    assert done.returncode == 0
