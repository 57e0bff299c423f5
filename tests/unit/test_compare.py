"""Answers of two sides are compared as canonical rows: what differs is found, classed and located, and noise is told by rules that a
person can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adapters import errors
from tests.unit.planted import FIELDS, MORE, PLANTED, STRICT, UPDATED, answer, compared, found, noisy, row, told
from wrapper.catalogue import strict_yaml
from wrapper.migration.compare import HARMLESS, MOST, SAMPLES, Difference, Failure, Verdict, compare, failure
from wrapper.migration.rules import Rules, rules
from wrapper.operation import Field
from wrapper.rows import BadRow, Rows


def propose(differences: Iterable[Difference]) -> Rules:
    """The rules that accept what is noise by its looks."""
    made = Rules()
    for met in differences:
        if met.rule is not None and met.detail in HARMLESS:
            made |= met.rule
    return made


ACCEPTED = propose(compared(answer(), noisy(answer())).differences)


def test_ten_kinds_of_noise_raise_nothing_once_the_proposed_rules_are_accepted() -> None:
    verdict = compared(answer(), noisy(answer()))
    assert {(d.path, d.kind, d.detail) for d in verdict.differences} == {
        ("items.printed", "value", "clock"), ("items.address.checked", "value", "clock"), ("items.trace", "value", "generated id"),
        ("items.request", "value", "generated id"), ("items.token", "value", "generated id"), ("items.tags", "order", "moved"),
        ("items.links", "order", "moved"),
    }  # fmt: skip
    assert compare(told(answer()), replace(told(noisy(answer())), backend="accounts-api", age=1.5), FIELDS, ACCEPTED) == Verdict("equal")


def test_proposed_rules_read_as_the_catalogue_and_back() -> None:
    assert str(ACCEPTED) == (
        "compare: {ignore: [items.request, items.token, items.trace], tolerance: {items.address.checked: 1s, items.printed: 5s}, "
        "unordered: [items.links, items.tags]}"
    )
    given = ACCEPTED | Rules(decimal=Decimal("0.01"), order_by="account", tolerance={"items.n": Decimal("0.5")})
    block = strict_yaml.parse(str(given).encode(), "x").value["compare"]
    assert rules(block) == given
    assert rules({"sample": "100%"}) == STRICT


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("by", [STRICT, ACCEPTED], ids=["strict", "accepted"])
def test_a_planted_difference_is_found_classed_and_located(name: str, by: Rules) -> None:
    plant, expected = PLANTED[name]
    candidate = answer()
    plant(candidate)
    verdict = compared(answer(), candidate if by is STRICT else noisy(candidate), by)
    assert (verdict.outcome, found(verdict)) == ("different", expected)
    assert compared(candidate, answer(), by).outcome == "different"


def test_enough_differences_are_planted() -> None:
    assert len(PLANTED) >= 30
    assert {kind for _, expected in PLANTED.values() for _, kind, _ in expected} == {"missing", "extra", "type", "value", "order", "count"}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("balance", Decimal("1234.57"), "compare: {tolerance: {items.balance: 0.01}}"),
        ("printed", datetime(2026, 11, 24, 9, 30, 31), "compare: {tolerance: {items.printed: 60s}}"),
        ("request", "0123456789abcdef", "compare: {ignore: [items.request]}"),
        ("balance", Decimal("1234.00"), None),
        ("balance", Decimal("-1234.56"), None),
        ("updated", UPDATED.astimezone(MORE), None),
        ("name", "MÜLLER", None),
    ],
)
def test_a_difference_names_the_rule_that_accepts_it_where_a_person_may(name: str, value: Any, text: str | None) -> None:
    candidate = answer()
    candidate[2][name] = value
    [difference] = compared(answer(), candidate).differences
    assert (str(difference.rule) if difference.rule else None) == text
    assert compared(answer(), candidate, difference.rule or STRICT).outcome == ("equal" if text else "different")


def test_rounding_has_a_rule_but_is_never_proposed() -> None:
    candidate = answer()
    candidate[2]["balance"] += Decimal("0.01")
    assert propose(compared(answer(), candidate).differences) == STRICT


@pytest.mark.parametrize("account", ["4929000011112222", "GB82WEST12345698765432", "TR330006100519786457841326"])
def test_an_account_number_is_no_generated_id(account: str) -> None:
    control, candidate = row("1") | {"branch": account}, row("1") | {"branch": account[:-1] + "0"}
    [difference] = compared([control], [candidate]).differences
    assert (difference.detail, difference.rule) == ("", None)


MISSING, LATE, ABEND = failure(errors.Missing("no")), failure(errors.DeadlineExceeded("slow")), failure(errors.Failed("abend"))
REFUSED, AWAY = failure(errors.Refused("no")), failure(errors.Closed("night"))


@pytest.mark.parametrize(
    ("control", "candidate", "outcome", "detail"),
    [
        (MISSING, MISSING, "equal", ""),
        (MISSING, REFUSED, "different", "status"),
        (Failure(404, "Missing"), Failure(404, "Failed"), "different", "class"),
        (MISSING, told([]), "different", "answered where the control refused"),
        (ABEND, told([]), "different", "answered where the control refused"),
        (MISSING, LATE, "different", "status"),
        (told([]), MISSING, "different", "refused"),
        (told([]), LATE, "different", "no answer"),
        (told([]), ABEND, "different", "no answer"),
        (told([]), AWAY, "different", "no answer"),
        (LATE, told([]), "skipped", ""),
        (AWAY, AWAY, "skipped", ""),
        (ABEND, LATE, "skipped", ""),
        (ABEND, ABEND, "skipped", ""),
    ],
)
def test_errors_are_compared_too(control: Any, candidate: Any, outcome: str, detail: str) -> None:
    verdict = compare(control, candidate, FIELDS, STRICT)
    assert (verdict.outcome, [(d.where, d.kind, d.detail) for d in verdict.differences]) == (
        outcome,
        [("items", "error", detail)] if detail else [],
    )
    assert bool(verdict.reason) == (outcome == "skipped")


def test_rows_of_other_business_dates_are_not_compared() -> None:
    sides = told(answer(), as_of="2026-11-24"), told([], as_of="2026-11-25")
    assert compare(*sides, FIELDS, STRICT) == Verdict("skipped", reason="other business dates: 2026-11-24 and 2026-11-25")
    assert compare(sides[0], told(answer(), as_of="2026-11-24T18:00:00Z"), FIELDS, STRICT).outcome == "equal"
    assert compare(sides[0], told([]), FIELDS, STRICT).outcome == "different"


def test_stale_rows_are_not_compared() -> None:
    assert compare(told([], stale=True), told([]), FIELDS, STRICT) == Verdict("skipped", reason="the control's rows are stale")
    assert compare(MISSING, told([], stale=True), FIELDS, STRICT) == Verdict("skipped", reason="the candidate's rows are stale")


def test_rows_that_one_side_could_not_read_are_a_difference() -> None:
    verdict = compare(told([]), Rows((), (BadRow(0, ("balance: missing",)),), "new"), FIELDS, STRICT)
    assert found(verdict) == [("items", "count", "unreadable rows")]


def test_an_object_is_compared_field_by_field() -> None:
    verdict = compare(told([row("1")]), told([row("1") | {"points": 8}]), FIELDS, STRICT, "object")
    assert found(verdict) == [("object.points", "value", "")]
    assert compare(told([row("1")]), told([row("2")]), FIELDS, STRICT, "object").differences[0].where == "object.account"


def test_an_ignored_field_or_branch_is_not_compared() -> None:
    candidate = [r | {"address": None, "points": Decimal("NaN")} for r in answer()]
    assert compared(answer(), candidate, Rules(ignore=frozenset({"items.address", "items.points"}))).outcome == "equal"


def test_an_ignored_field_neither_matches_rows_nor_parts_them() -> None:
    control = [{"id": 1, "a": "x"}, {"id": 2, "a": "y"}]
    by = Rules(ignore=frozenset({"items.id"}), unordered=frozenset({"items"}))
    fields = (Field("id", "integer", key=True), Field("a", "string"))
    assert compared(control, [{"id": 8, "a": "y"}, {"id": 9, "a": "x"}], by, fields).outcome == "equal"
    assert compared(control, [{"a": "y"}, {"a": "x"}], by, fields).outcome == "equal"


def test_rules_are_joined_by_the_wider_tolerance() -> None:
    wide = Rules(decimal=Decimal(1), tolerance={"items.n": Decimal(2), "items.t": timedelta(seconds=5)}, order_by="a")
    near = Rules(decimal=Decimal(0), tolerance={"items.n": Decimal(1), "items.t": timedelta(microseconds=1500)})
    assert wide | near == near | wide == wide
    assert str(near) == "compare: {tolerance: {items.n: 1, items.t: 2ms}}"  # never less than what was accepted


def test_a_tolerance_ends_where_it_says() -> None:
    exact, near = [row("1")], [row("1") | {"balance": Decimal("1234.58")}]
    assert compared(exact, near, Rules(decimal=Decimal("0.02"))).outcome == "equal"
    assert compared(exact, near, Rules(decimal=Decimal("0.019"))).outcome == "different"
    assert compared(exact, near, Rules(decimal=Decimal("1"), tolerance={"items.balance": Decimal(0)})).outcome == "different"
    assert compared(exact, near, Rules(tolerance={"items.balance": timedelta(days=1)})).outcome == "different"  # not for numbers
    later = [row("1") | {"opened": date(1949, 3, 5)}]
    assert compared(exact, later, Rules(tolerance={"items.opened": timedelta(days=1)})).outcome == "equal"
    moved = [row("1") | {"updated": UPDATED.astimezone(MORE)}]
    assert compared(exact, moved, Rules(tolerance={"items.updated": timedelta(days=1)})).outcome == "different"  # callers see the offset


@pytest.mark.parametrize("limit", [Decimal("NaN"), Decimal("-0.01"), Decimal("Infinity"), timedelta(seconds=-1)])
def test_a_tolerance_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match="expected a tolerance"):
        Rules(tolerance={"items.balance": limit})


def test_rows_without_a_key_are_matched_by_what_they_hold() -> None:
    fields = (Field("a", "string"), Field("n", "decimal"))
    control = [{"a": "x", "n": Decimal(1)}, {"a": "y", "n": Decimal(2)}, {"a": "x", "n": Decimal(1)}]
    assert found(compared(control, control[1:], fields=fields)) == [
        ("items", "count", "rows"),
        ("items[0]", "missing", "row"),
    ]
    third = [*control[:2], {"a": "z", "n": Decimal(3)}]
    assert found(compared(third, [third[2], third[0]], fields=fields)) == [
        ("items", "count", "rows"),
        ("items[1]", "missing", "row"),
        ("items[0]", "order", "moved"),
    ]
    changed = [control[0], control[1] | {"a": "z"}, control[2]]
    assert found(compared(control, changed, fields=fields)) == [("items[1].a", "value", "")]
    near = [{"a": "y", "n": Decimal("2.01")}, {"a": "x", "n": Decimal("1.01")}, control[0]]
    loose = Rules(decimal=Decimal("0.01"), unordered=frozenset({"items"}))
    assert compared(control, near, loose, fields).outcome == "equal"


def test_lists_without_order_are_matched_inside_of_lists_without_order() -> None:
    control = [{"tags": [{"t": "a"}, {"t": "b"}]}, {"tags": [{"t": "c"}, {"t": "d"}]}]
    candidate = [{"tags": [{"t": "d"}, {"t": "c"}]}, {"tags": [{"t": "b"}, {"t": "a"}]}]
    by = Rules(unordered=frozenset({"items", "items.tags"}))
    assert compared(control, candidate, by, ()).outcome == "equal"
    assert compared(control, candidate, Rules(unordered=frozenset({"items"})), ()).outcome == "different"


def test_rows_are_matched_by_order_by_where_the_file_says_it() -> None:
    control = [{"id": n, "seq": n, "text": str(n)} for n in range(3)]
    candidate = [r | {"id": r["id"] + 1} for r in control]
    fields = (Field("id", "integer", key=True), Field("seq", "integer"), Field("text", "string"))
    verdict = compared(control, candidate, Rules(order_by="seq"), fields)
    assert [d.where for d in verdict.differences] == ["items[0].id", "items[1].id", "items[2].id"]


def test_lists_in_rows_are_matched_by_their_own_keys() -> None:
    candidate = [row("1")]
    candidate[0]["phones"] = [{"number": "2", "label": "mobile"}]
    assert found(compared([row("1")], candidate, Rules(order_by="account")))[1:] == [
        ("items[0].phones[0]", "missing", "row"),
        ("items[0].phones[2]", "missing", "row"),
        ("items[0].phones[1].label", "value", ""),
    ]


def test_a_verdict_is_bounded_and_hides_no_kind_behind_another() -> None:
    control = [row(f"{n:010}") for n in range(500)]
    candidate = [r | {"balance": r["balance"] + Decimal("0.01")} for r in control]
    candidate[499]["name"] = "OTHER"
    verdict = compared(control, candidate)
    assert Counter(d.path for d in verdict.differences) == {"items.balance": SAMPLES, "items.name": 1}
    wide = [{f"f{n}": n for n in range(2 * MOST)}]
    verdict = compared(wide, [{f"f{n}": -1 - n for n in range(2 * MOST)}], fields=())
    assert len(verdict.differences) == MOST


def test_a_difference_shows_no_value_of_a_customer() -> None:
    text = repr(compared(answer(), [row("0000000001") | {"name": "SECRET"}]))
    assert "SECRET" not in text
    assert "MÜLLER" not in text
    assert "0000000002" not in text
