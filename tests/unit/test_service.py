"""Service.serve: what is asked of a back end, what is passed on, and what is refused before anything is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import DeadlineExceeded, Misread, Missing
from tests.unit.small import ALICE, Scripted, join, missing, operation, request, service, slow
from wrapper import functions
from wrapper.operation import Auth, Field, ObjectRule, Param, Part, Quality
from wrapper.policy.keys import Caller
from wrapper.problems import Forbidden, Inadequate, Invalid, NoSuchThing
from wrapper.traffic import TESTER


def serve(folder: Path, back_end: Scripted, op: Any, **asked: Any) -> Any:
    made, _ = service(folder, back_end, op)
    return made.serve(op, request(**asked))


def test_an_answer_is_data_score_and_meta(tmp_path: Path) -> None:
    answer = serve(tmp_path, Scripted(), operation())
    assert answer.body == {
        "data": {"id": "7", "amount": "1.00"}, "score": None, "meta": {"sources": [{"system": "scripted", "side": "legacy"}]},
    }  # fmt: skip


def test_another_customers_answer_is_never_passed_on(tmp_path: Path) -> None:
    stale = Scripted(lambda _call: [{"id": "8", "amount": "1.00"}])
    with pytest.raises(Misread, match="not the one asked for"):
        serve(tmp_path, stale, operation())


def test_no_record_is_missing_and_two_are_a_misread(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        serve(tmp_path, Scripted(lambda _call: []), operation())
    with pytest.raises(Misread, match="met 2"):
        serve(tmp_path, Scripted(lambda call: [{"id": "7"}, {"id": "7"}]), operation())


def test_a_rejected_row_fails_the_gate_or_is_reported(tmp_path: Path) -> None:
    back_end = Scripted(lambda _call: [{"id": "7", "amount": "1.00"}, {"id": "7", "amount": "?"}])
    items = operation(shape="items")
    with pytest.raises(Inadequate, match="1 of 2 rows"):
        serve(tmp_path, back_end, items)
    answer = serve(tmp_path, back_end, operation(shape="items", quality=Quality(rejected_at_most=0.5)))
    assert answer.body["meta"]["rejected"] == [{"row": 1, "reasons": ["amount: expected a number like -1234.56, met text of the form '?'"]}]


def test_a_required_field_that_is_missing_fails_the_gate(tmp_path: Path) -> None:
    with pytest.raises(Inadequate, match="'amount'"):
        serve(tmp_path, Scripted(lambda _call: [{"id": "7"}]), operation(quality=Quality(required=("amount",))))


@pytest.mark.parametrize(
    ("auth", "caller"),
    [
        (Auth("other:read"), ALICE),
        (Auth("things:read", purposes=("servicing",)), ALICE),
        (Auth("things:read", object={"id": ObjectRule(claim="customer")}), Caller("bob", frozenset({"things:read"}))),
        (
            Auth("things:read", object={"id": ObjectRule(claim="customer")}),
            Caller("bob", frozenset({"things:read"}), claims={"customer": frozenset("8")}),
        ),
    ],
)
def test_who_may_not_ask_reaches_no_back_end(tmp_path: Path, auth: Auth, caller: Caller) -> None:
    back_end = Scripted()
    with pytest.raises(Forbidden):
        serve(tmp_path, back_end, operation(auth=auth), caller=caller)
    assert not back_end.calls


def test_the_only_purpose_of_a_key_need_not_be_stated(tmp_path: Path) -> None:
    caller = Caller("bob", frozenset({"things:read"}), frozenset({"servicing"}), {"customer": frozenset("7")})
    auth = Auth("things:read", purposes=("servicing",), object={"id": ObjectRule(claim="customer")})
    assert serve(tmp_path, Scripted(), operation(auth=auth), caller=caller).status == 200


def test_unknown_parameters_are_refused_and_reach_no_back_end(tmp_path: Path) -> None:
    back_end = Scripted()
    with pytest.raises(Invalid) as caught:
        serve(tmp_path, back_end, operation(), given={"query": {"limt": "5"}})
    assert caught.value.errors == ({"in": "query", "name": "limt", "reason": "is not a parameter of this endpoint"},)
    assert not back_end.calls


def test_an_endpoint_without_a_modern_side_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoSuchThing, match="no modern side"):
        serve(tmp_path, Scripted(), operation(), wanted="modern", caller=replace(ALICE, scopes=ALICE.scopes | {TESTER}))


def test_a_part_has_its_own_deadline_within_the_joins(tmp_path: Path) -> None:
    back_end = Scripted()
    part = operation(deadline=0.5)
    op = join([Part("one", "things.get", {"id": "{id}"})], [Field("id", "string")], deadline=8.0)
    made, _ = service(tmp_path, back_end, part, op)
    made.serve(op, request())
    assert back_end.calls[0].deadline - time.monotonic() < 0.5


def test_masked_fields_are_masked_unless_the_caller_may_see_them(tmp_path: Path) -> None:
    back_end = Scripted(lambda _call: [{"id": "7", "amount": None, "iban": "GB1234567890"}])
    op = operation(fields=(Field("id", "string"), Field("iban", "string", mask="last4")))
    assert serve(tmp_path, back_end, op).body["data"]["iban"] == "********7890"
    seer = Caller("eve", ALICE.scopes | {"pii:read"})
    assert serve(tmp_path, back_end, op, caller=seer).body["data"]["iban"] == "GB1234567890"


PART = operation()
JOINED = [Part("one", "things.get", {"id": "{id}"}), Part("two", "things.get", {"id": "{one.id}"}, required=False)]
SUM = [Field("id", "string"), Field("total", "decimal", scale=2, source="sum(one.amount)"), Field("two", "string", True, source="two.id")]


def test_a_join_asks_its_parts_in_order_of_need_and_answers_from_them(tmp_path: Path) -> None:
    back_end = Scripted()
    op = join(JOINED, SUM)
    made, _ = service(tmp_path, back_end, PART, op)
    answer = made.serve(op, request())
    assert answer.body["data"] == {"id": "7", "total": "1.00", "two": "7"}
    assert [s["part"] for s in answer.body["meta"]["sources"]] == ["one", "two"]


@functions.pure
def half(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The other side counts in pairs."""
    return {"pair": int(params["id"]) // 2}


@functions.pure
def none(params: Mapping[str, Any]) -> Any:
    return None


def test_a_named_function_makes_a_sides_parameters_and_the_answer_is_still_held_against_the_callers(tmp_path: Path) -> None:
    back_end = Scripted(lambda call: [{"id": str(2 * call.params["pair"]), "amount": "1.00"}])
    op = operation()
    changed = replace(op, legacy=replace(op.legacy, transform_params=f"py:{__name__}.half"))
    assert serve(tmp_path, back_end, changed, id="8").body["data"]["id"] == "8"
    with pytest.raises(Misread, match="not the one asked for"):
        serve(tmp_path, back_end, changed, id="7")
    asked = len(back_end.calls)
    with pytest.raises(Misread, match=r"py:.*\.none gave NoneType where a mapping by name was expected"):
        serve(tmp_path, back_end, replace(op, legacy=replace(op.legacy, transform_params=f"py:{__name__}.none")))
    assert len(back_end.calls) == asked


def test_independent_parts_run_side_by_side(tmp_path: Path) -> None:
    parts = [Part(name, "things.get", {"id": "{id}"}) for name in "abcd"]
    op = join(parts, [Field("id", "string")])
    made, _ = service(tmp_path, Scripted(slow(0.2)), PART, op)
    began = time.monotonic()
    made.serve(op, request())
    assert time.monotonic() - began < 0.6


def test_a_failed_required_part_fails_the_join_and_an_optional_one_is_named(tmp_path: Path) -> None:
    op = join(JOINED, SUM)
    made, _ = service(tmp_path, Scripted(missing), PART, op)
    with pytest.raises(Missing):
        made.serve(op, request())
    optional = join([Part("one", "things.get", {"id": "{id}"}, required=False), JOINED[1]], [SUM[0], SUM[2]])
    made, _ = service(tmp_path, Scripted(missing), PART, optional)
    meta = made.serve(optional, request()).body["meta"]
    assert [m["part"] for m in meta["missing"]] == ["one", "two"]


def test_what_a_part_refuses_is_the_callers_fault_only_when_the_caller_gave_it(tmp_path: Path) -> None:
    """A 422 for a correct request would send the caller looking for a mistake that another part's data have."""
    strict = operation("things.strict", params=(Param("path", Field("id", "string", max_length=1)),))
    back_end = Scripted(lambda call: [{"id": call.params["id"], "amount": "100.00"}])
    given = join([Part("one", "things.strict", {"id": "{id}"})], [Field("id", "string")])
    made, _ = service(tmp_path, back_end, strict, given)
    with pytest.raises(Invalid):
        made.serve(given, request("77"))
    assert not back_end.calls
    handed_on = join([JOINED[0], Part("two", "things.strict", {"id": "{one.amount}"})], [Field("id", "string")])
    made, _ = service(tmp_path, back_end, PART, strict, handed_on)
    with pytest.raises(Misread, match=r"things\.strict can't be asked with what another part answered") as caught:
        made.serve(handed_on, request())
    assert caught.value.status == 502


def test_a_join_ends_with_its_deadline(tmp_path: Path) -> None:
    op = join([Part("one", "things.get", {"id": "{id}"})], [Field("id", "string")], deadline=0.3)
    made, _ = service(tmp_path, Scripted(slow(30)), PART, op)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        made.serve(op, request())
    assert time.monotonic() - began < 1.3


def test_parameters_reach_the_back_end_typed(tmp_path: Path) -> None:
    back_end = Scripted(lambda _call: [{"id": "7"}])
    op = operation(params=(*PART.params, Param("query", Field("least", "decimal", scale=2, optional=True))))
    serve(tmp_path, back_end, op, given={"query": {"least": "1.5"}})
    assert back_end.calls[0].params == {"id": "7", "least": Decimal("1.50")}


def test_an_optional_parameter_that_is_not_given_is_left_out_of_the_parts(tmp_path: Path) -> None:
    least = Param("query", Field("least", "decimal", optional=True, scale=2))
    part = operation(params=(*PART.params, least))
    op = join([Part("one", "things.get", {"id": "{id}", "least": "{least}"})], [Field("id", "string")], params=(*PART.params, least))
    back_end = Scripted(lambda _call: [{"id": "7"}])
    made, _ = service(tmp_path, back_end, part, op)
    assert made.serve(op, request()).status == 200
    assert back_end.calls[0].params == {"id": "7", "least": None}


def test_a_joins_own_answer_passes_its_contract_and_its_gate(tmp_path: Path) -> None:
    empty = Scripted(lambda _call: [{"id": "7"}])
    one = [Part("one", "things.get", {"id": "{id}"})]
    total = Field("total", "decimal", optional=True, scale=2, source="sum(one.amount)")
    gated = join(one, [total], quality=Quality(required=("total",)))
    made, _ = service(tmp_path, empty, PART, gated)
    with pytest.raises(Inadequate, match="'total'"):
        made.serve(gated, request())
    strange = join(one, [Field("id", "string", one_of=("8",), source="one.id")])
    made, _ = service(tmp_path, empty, PART, strange)
    with pytest.raises(Inadequate):
        made.serve(strange, request())


def test_optional_parts_that_are_late_are_named_and_the_rest_is_answered(tmp_path: Path) -> None:
    import threading

    stuck = threading.Event()

    def answer(call: Any) -> Any:
        if call.params["id"] == "late":
            stuck.wait(5)
        return [{"id": call.params["id"]}]

    parts = [Part("one", "things.get", {"id": "{id}"}), Part("two", "things.get", {"id": "late"}, required=False)]
    op = join(parts, [Field("id", "string")], deadline=0.3)
    made, _ = service(tmp_path, Scripted(answer), PART, op)
    meta = made.serve(op, request()).body["meta"]
    stuck.set()
    assert [m["part"] for m in meta["missing"]] == ["two"]
