"""A request's body is one JSON object that can be read in one way only."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrapper import json_body
from wrapper.operation import Field
from wrapper.problems import Invalid, RequestError


def test_numbers_with_a_point_are_exact() -> None:
    assert json_body.parse(b'{"a": 0.1, "b": 1}', "application/json") == {"a": Decimal("0.1"), "b": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{", b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": 1e99999999999999999999}', b'{"\\ud800": 1}', b'{"a": "\\ud800"}',
        b'{"a": "\xff"}', '{"a": 1}'.encode("utf-16"), b'\xef\xbb\xbf{"a": 1}', b'{"a":' * 100_000,
        b'{"a": 1e1001}', b'{"a": 0e999999}', b'{"a": 1e-999999}', b'{"a": 0.' + b"1" * 5000 + b"}", b'{"a": [[' * 16 + b"]]}" * 16,
    ],
)  # fmt: skip
def test_anything_else_is_a_400(data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        json_body.parse(data, "application/json")
    assert caught.value.status == 400


ROWS = Field("rows", "list", of=(Field("amount", "decimal"),))
FIELDS = (Field("amount", "decimal", optional=True), Field("many", "integer", optional=True), Field("sure", "boolean"), ROWS)


def test_values_have_the_types_that_the_description_says() -> None:
    json_body.typed({"amount": None, "many": 5, "sure": True, "rows": [{"amount": "1.00"}], "other": 7}, FIELDS)
    wrong = {"amount": Decimal("1.5"), "many": "5", "sure": "true", "rows": [{"amount": "1"}, {"amount": 0}, 5]}
    with pytest.raises(Invalid) as caught:
        json_body.typed(wrong, FIELDS)
    assert [error["name"] for error in caught.value.errors] == ["amount", "many", "sure", "rows.1.amount"]
    with pytest.raises(Invalid):
        json_body.typed({"many": True}, FIELDS)


def test_what_is_within_the_bounds_is_taken() -> None:
    assert json_body.parse(b'{"a": 1e1000, "b": 1E-3}', "application/json")["b"] == Decimal("0.001")
    assert json_body.parse(b'{"a": ' + b"[" * 31 + b"]" * 31 + b"}", 'Application/JSON; version=1; charset="UTF-8"')


@pytest.mark.parametrize(
    ("kind", "coding"),
    [
        ("text/plain", ""), ("", ""), ("application/json, text/plain", ""), ("application/jsonp", ""), ("text/plain; application/json", ""),
        ("application/json; charset=utf-16", ""), ("application/json; charset=utf-8; charset=utf-7", ""), ("application/json", "gzip"),
    ],
)  # fmt: skip
def test_another_media_type_is_a_415(kind: str, coding: str) -> None:
    with pytest.raises(RequestError) as caught:
        json_body.parse(b"{}", kind, coding)
    assert caught.value.status == 415


def test_what_is_said_of_a_number_without_end_is_not_the_interpreters_own_advice() -> None:
    with pytest.raises(RequestError, match="more than 1000 digits"):
        json_body.parse(b'{"a": ' + b"9" * 5000 + b"}", "application/json")
