"""Whom a caller may ask about, and whom a request is about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.small import Scripted, operation, request, service
from wrapper import functions, subjects
from wrapper.operation import Auth, Field, ObjectRule, Param
from wrapper.policy import objects
from wrapper.policy.keys import ANY, Caller
from wrapper.problems import Forbidden
from wrapper.subjects import Subject

HERE = "py:tests.unit.test_objects"
SCOPES = frozenset({"things:read", "things:write"})
BOB = Caller("bob", SCOPES, claims={"customer": frozenset({"7", "8"}), "branch": frozenset({"north"})})
ALL = Caller("all", SCOPES, claims={"customer": frozenset({ANY})})
PEOPLE = Param("body", Field("people", "list", of=(Field("id", "string"), Field("note", "string", optional=True))))


@functions.may
def of_the_branch(claims: Mapping[str, frozenset[str]], value: str, params: Mapping[str, Any]) -> bool:
    return params.get("branch") in claims["branch"] and value.startswith("7")


@functions.may
def truthy(claims: Mapping[str, frozenset[str]], value: str, params: Mapping[str, Any]) -> Any:
    return "yes"


@functions.pure
def of_one(value: Any) -> bool:
    return True


def people(*ids: str) -> Mapping[str, Any]:
    return {"path": {}, "body": {"people": [{"id": id} for id in ids]}}


def allowed(rule: ObjectRule, params: Mapping[str, Any], caller: Caller = BOB, name: str = "id") -> bool:
    try:
        objects.check(Auth("things:read", object={name: rule}), ["tests"])(caller, params)
    except Forbidden as error:
        return "secret" in error.detail  # a value in a refusal would be no refusal
    return True


def test_a_claim_covers_the_values_that_it_names() -> None:
    claim = ObjectRule(claim="customer")
    assert allowed(claim, {"id": "7"})
    assert allowed(claim, {"id": 8})
    assert not allowed(claim, {"id": "secret"})
    assert not allowed(ObjectRule(claim="account"), {"id": "7"})
    assert allowed(claim, {"id": "secret"}, ALL)


def test_left_out_means_everybody_and_only_a_claim_on_everybody_covers_it() -> None:
    claim = ObjectRule(claim="customer")
    literal = Caller("x", SCOPES, claims={"customer": frozenset({"None"})})
    assert not allowed(claim, {"id": None}, literal)
    assert not allowed(claim, {"people": []}, name="people.id")
    assert not allowed(claim, {"people": None}, name="people.id")
    assert allowed(claim, {"id": None}, ALL)


def test_every_item_of_a_list_is_held_against_the_rule() -> None:
    claim = ObjectRule(claim="customer")
    assert allowed(claim, {"people": [{"id": "7"}, {"id": "8"}]}, name="people.id")
    assert not allowed(claim, {"people": [{"id": "7"}, {"id": "secret"}]}, name="people.id")
    assert not allowed(claim, {"people": [{"id": "7"}, {}]}, name="people.id")


def test_a_function_decides_by_claims_value_and_parameters() -> None:
    rule = ObjectRule(may=f"{HERE}.of_the_branch")
    assert allowed(rule, {"id": "71", "branch": "north"})
    assert not allowed(rule, {"id": "71", "branch": "south"})
    assert not allowed(rule, {"id": "81", "branch": "north"})


def test_a_function_that_fails_or_says_anything_but_true_refuses() -> None:
    assert not allowed(ObjectRule(may=f"{HERE}.of_the_branch"), {"id": "71", "branch": "north"}, ALL)  # it has no such claim: a KeyError
    assert not allowed(ObjectRule(may=f"{HERE}.of_the_branch"), {"id": None, "branch": "north"})
    assert not allowed(ObjectRule(may=f"{HERE}.truthy"), {"id": "7"})


@pytest.mark.parametrize("name", ["of_one", "nowhere"])
def test_a_function_without_its_mark_is_none(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        objects.check(Auth("x:y", object={"id": ObjectRule(may=f"{HERE}.{name}")}), ["tests"])
    with pytest.raises(ValueError, match="FIGWAY_PACKAGES"):
        objects.check(Auth("x:y", object={"id": ObjectRule(may=f"{HERE}.truthy")}), [])


def test_a_function_of_other_arguments_takes_no_mark() -> None:
    with pytest.raises(TypeError, match="must take claims"):
        functions.may(lambda claims, value: True)


def test_who_may_not_ask_about_one_of_many_reaches_no_back_end(tmp_path: Path) -> None:
    back_end = Scripted(lambda call: [{"id": "1", "amount": "1.00"}])
    auth = Auth("things:read", object={"people.id": ObjectRule(claim="customer")})
    op = operation(auth=auth, method="POST", params=(PEOPLE,), path="/things", fields=(Field("amount", "decimal", scale=2),))
    made, _ = service(tmp_path, back_end, op)
    with pytest.raises(Forbidden, match=r"people\.id"):
        made.serve(op, request(caller=BOB, given=people("7", "9")))
    assert not back_end.calls
    assert made.serve(op, request(caller=BOB, given=people("7"))).status == 200


def test_a_request_is_about_each_of_its_subjects_once() -> None:
    rules = {"id": ObjectRule(claim="customer"), "people.iban": ObjectRule(reason="anybody"), "other": ObjectRule(may="py:a.b")}
    op = operation(auth=Auth("x:y", object=rules))
    params = {"id": "7", "people": [{"iban": "GB1"}, {"iban": "GB2"}, {"iban": "GB1"}, {"iban": None}], "other": None}
    assert subjects.of(op, params) == (Subject("customer", "7"), Subject("iban", "GB1"), Subject("iban", "GB2"))
