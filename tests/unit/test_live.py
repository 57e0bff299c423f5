"""An example of an endpoint file is compared as a whole: status, count, data and score."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.small import Scripted, operation, service
from tests.unit.trails import records
from wrapper import live
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


def test_who_calls_from_the_command_line_is_on_record_as_that_and_as_no_key(tmp_path: Path) -> None:
    made, store = service(tmp_path, Scripted(), op := operation())
    assert live.ask(made, op, {"id": "7"}, "ann").status == 200
    assert [(one["who"], one["via"]) for one in records(store.folder / "audit", "read")] == [("cli:ann", "cli")]
