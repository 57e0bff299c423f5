"""What leaves for whom: each mask, and who passes it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.small import operation
from wrapper import openapi
from wrapper.access import Access
from wrapper.operation import Catalogue, Field
from wrapper.policy.keys import Caller
from wrapper.policy.mask import Masks, left, masked

CLERK = Caller("clerk", frozenset({"customers:read"}))
SEER = Caller("seer", frozenset({"customers:read", "pii:read"}))


def tokenise(kind: str, value: str, tenant: str) -> str:
    return f"tk1_{kind}_{tenant}_{len(value)}"


def shown(data: Any, *fields: Field, caller: Caller = CLERK) -> Any:
    return Masks(fields, lambda: b"key", tokenise).shown(data, caller)


@pytest.mark.parametrize(
    ("mask", "type", "value", "seen"),
    [
        ("last4", "string", "GB1234567890", "********7890"),
        ("last4", "string", "1234", "****"),
        ("initials", "string", "Clara  van Allen", "C. v. A."),
        ("initials", "string", "", ""),
        ("hidden", "string", "Clara", "***"),
        ("hidden", "date", "1986-04-17", "***"),
        ("hidden", "boolean", False, "***"),
        ("hidden", "decimal", "4000.00", "***"),
    ],
)
def test_a_mask_is_a_text_and_what_is_missing_stays_so(mask: str, type: Any, value: Any, seen: str) -> None:
    field = Field("it", type, optional=True, mask=mask)
    assert shown({"it": value}, field) == {"it": seen}
    assert shown({"it": None}, field) == {"it": None}
    assert shown({"it": value}, field, caller=SEER) == {"it": value}


def test_what_is_dropped_is_not_there_whether_it_is_known_or_not() -> None:
    fields = (
        Field("id", "string"),
        Field("ill", "boolean", mask="drop"),
        Field("searches", "list", mask="drop", of=(Field("by", "string"),)),
    )
    assert shown([{"id": "7", "ill": True, "searches": [{"by": "x"}]}, {"id": "8", "ill": None, "searches": []}], *fields) == [
        {"id": "7"}, {"id": "8"},
    ]  # fmt: skip


def test_a_keyed_mask_is_equal_for_equal_values_of_one_tenant_and_tells_nothing() -> None:
    masks = Masks([Field("id", "string", mask="hmac"), Field("age", "integer", mask="hmac")], lambda: b"key", tokenise)
    one, same, other = (masks.shown({"id": id, "age": 7}, CLERK) for id in ("7", "7", "8"))
    assert one == same
    assert one["id"] != other["id"]
    assert len(one["id"]) == len(one["age"]) == 32
    elsewhere = Caller("clerk", CLERK.scopes, tenant="north")
    assert masks.shown({"id": "7", "age": 7}, elsewhere)["id"] != one["id"]
    assert Masks([Field("id", "string", mask="hmac")], lambda: b"another", tokenise).shown({"id": "7"}, CLERK)["id"] != one["id"]


def test_shown_to_says_who_sees_a_field_and_nobody_else_does() -> None:
    fields = Field("name", "string", mask="initials", shown_to=("customers:write",)), Field("town", "string", mask="hidden")
    row = {"name": "Clara Allen", "town": "Leeds"}
    writer = Caller("writer", frozenset({"customers:write"}))
    assert shown(row, *fields, caller=writer) == {"name": "Clara Allen", "town": "***"}
    assert shown(row, *fields, caller=SEER) == {"name": "C. A.", "town": "Leeds"}


def test_what_lies_in_lists_and_objects_is_masked_there() -> None:
    inner = (Field("line", "string", mask="hidden"), Field("number", "integer"))
    fields = Field("home", "object", of=inner, optional=True), Field("old", "list", of=(*inner, Field("by", "string", mask="drop")))
    row = {"home": {"line": "x", "number": 1}, "old": [{"line": "y", "number": 2, "by": "me"}]}
    assert shown(row, *fields) == {"home": {"line": "***", "number": 1}, "old": [{"line": "***", "number": 2}]}
    assert shown({"home": None, "old": []}, *fields) == {"home": None, "old": []}
    assert shown(row, *fields, caller=SEER) is row
    assert [field.name for field in masked(fields)] == ["line", "line", "by"]


def test_what_nobody_described_does_not_leave_beside_what_is_masked() -> None:
    assert shown({"name": "Clara", "more": "x"}, Field("name", "string", mask="hidden")) == {"name": "***"}


def test_without_masks_the_answer_is_not_touched() -> None:
    row = {"id": "7"}
    assert shown(row, Field("id", "string")) is row
    assert shown(None, Field("id", "string", mask="hidden")) is None


def test_which_fields_leave_is_told_by_name_and_what_is_dropped_does_not() -> None:
    inner = (Field("line", "string", mask="hidden"), Field("number", "integer"))
    fields = [Field("id", "string"), Field("home", "object", of=inner), Field("ill", "boolean", mask="drop")]
    assert left(fields, CLERK) == (["id", "home.number"], ["home.line"])
    assert left(fields, SEER) == (["id", "home.line", "home.number", "ill"], [])


def test_a_token_is_of_the_fields_class_and_the_callers_tenant() -> None:
    field = Field("account", "string", pii="account_number", mask="token")
    caller = Caller("clerk", CLERK.scopes, tenant="north")
    assert shown({"account": "12345678"}, field, caller=caller) == {"account": "tk1_account_number_north_8"}
    assert shown({"account": None}, field, caller=caller) == {"account": None}
    assert shown({"account": "12345678"}, field, caller=SEER) == {"account": "12345678"}


def test_the_document_says_what_is_masked_how_and_for_whom() -> None:
    fields = (
        Field("id", "string"),
        Field("age", "integer", mask="hidden"),
        Field("name", "string", pii="name", mask="initials", shown_to=("customers:write", "pii:read"), optional=True),
        Field("ill", "boolean", mask="drop"),
    )
    op = operation(fields=fields)
    told = openapi.document(Catalogue({}, {op.name: op}, "hash"), Access())
    answer = told["paths"][op.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]
    assert answer["required"] == ["id", "age"]
    assert answer["properties"]["age"]["type"] == ["string", "integer"]
    assert answer["properties"]["name"] == {
        "type": ["string", "null"],
        "description": "masked (initials) for callers who have not the scope customers:write or pii:read",
    }
    assert answer["properties"]["ill"]["description"] == "left out for callers who have not the scope pii:read"
    assert "description" not in answer["properties"]["id"]
