"""A request's body is one JSON object that can be read in one way only."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrapper import json_body
from wrapper.problems import RequestError


def test_numbers_with_a_point_are_exact() -> None:
    assert json_body.parse(b'{"a": 0.1, "b": 1}', "application/json") == {"a": Decimal("0.1"), "b": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{", b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": 1e99999999999999999999}', b'{"\\ud800": 1}', b'{"a": "\\ud800"}',
        b'{"a": "\xff"}', '{"a": 1}'.encode("utf-16"), b'\xef\xbb\xbf{"a": 1}', b'{"a":' * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_a_400(data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        json_body.parse(data, "application/json")
    assert caught.value.status == 400


def test_another_media_type_is_a_415() -> None:
    with pytest.raises(RequestError) as caught:
        json_body.parse(b"{}", "text/plain")
    assert caught.value.status == 415


def test_what_is_said_of_a_number_without_end_is_not_the_interpreters_own_advice() -> None:
    with pytest.raises(RequestError, match="more than 1000 digits"):
        json_body.parse(b'{"a": ' + b"9" * 5000 + b"}", "application/json")
