"""An example of an endpoint file is compared as a whole: status, count, data and score."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from wrapper.live import differs
from wrapper.operation import Example
from wrapper.request import Answer

ANSWER = Answer(200, {"data": [{"id": "1", "amount": "2.00"}], "score": {"model": "m", "value": 0.25}, "meta": {}})


@pytest.mark.parametrize(
    ("expect", "wrong"),
    [
        ({"status": 200, "count": 1, "data": [{"amount": "2.00"}], "score": Decimal("0.25")}, ""),
        ({"status": 404}, "expected status 404, met 200"),
        ({"status": 200, "count": 2}, "expected 2 items, met 1"),
        ({"status": 200, "data": [{"amount": "2.0"}]}, "data[0].amount"),
        ({"status": 200, "score": Decimal("0.26")}, "score"),
    ],
)
def test_what_differs_is_named_without_its_value(expect: dict[str, Any], wrong: str) -> None:
    told = differs(Example({}, expect, 1), ANSWER)
    assert (wrong in told) if wrong else told == ""
