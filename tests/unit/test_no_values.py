"""What is refused of a caller is told by its shape: no personal value is in a problem, a log line or a metric's label."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.small import Scripted, operation, request, service
from wrapper.operation import Auth, Field, ObjectRule, Param
from wrapper.policy.keys import Caller
from wrapper.problems import RequestError, problem

SECRET = "Zqx 7731-canary"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("who", "string", pii="name", pattern="[0-9]+"), SECRET),
        (Field("who", "string", pii="name", one_of=("a", "b")), SECRET),
        (Field("who", "string", pii="name", max_length=3), SECRET),
        (Field("who", "string", pii="name", min_length=99), SECRET),
        (Field("who", "integer", pii="other"), SECRET),
        (Field("who", "integer", pii="other", maximum=Decimal(5)), 7731),
        (Field("who", "integer", pii="other"), 7731.5),
        (Field("who", "decimal", scale=2, pii="financial"), "7731.1234"),
        (Field("who", "decimal", scale=2, pii="financial", maximum=Decimal(5)), "7731.00"),
        (Field("who", "date", pii="birth_date"), SECRET),
        (Field("who", "date", pii="birth_date"), "7731-02-30"),
        (Field("who", "datetime", pii="other"), SECRET),
        (Field("who", "boolean", pii="health"), SECRET),
        (Field("who", "list", most=1, of=(Field("iban", "string", pii="account_number"),)), [{"iban": SECRET}, {"iban": SECRET}]),
        (Field("who", "list", of=(Field("iban", "string", pii="account_number", pattern="[0-9]+"),)), [{"iban": SECRET}]),
        (Field("who", "object", of=(Field("iban", "integer", pii="account_number"),)), SECRET),
        (Field("who", "object", of=(Field("iban", "string", pii="account_number"),)), {"iban": {"x": SECRET}}),
    ],
)
def test_a_value_that_is_not_acceptable_is_in_no_problem_and_no_log_line(
    field: Field, value: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    op = operation(params=(Param("path", Field("id", "string")), Param("body", field)), method="POST")
    made, _ = service(tmp_path, Scripted(), op)
    with pytest.raises(RequestError) as caught:
        made.serve(op, request(given={"body": {"who": value}}))
    told = f"{problem(caught.value, 'trace').body} {caught.value} {capfd.readouterr()}"
    assert "who" in told
    assert not any(part in told for part in ("Zqx", "7731", "canary"))


def test_whom_a_caller_may_not_ask_about_is_in_no_refusal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    op = operation(auth=Auth("things:read", object={"id": ObjectRule(claim="customer")}))
    made, _ = service(tmp_path, Scripted(), op)
    bob = Caller("bob", frozenset({"things:read"}), claims={"customer": frozenset({"7732"})})
    with pytest.raises(RequestError) as caught:
        made.serve(op, request("7731", bob))
    told = f"{problem(caught.value, 'trace').body} {caught.value} {capfd.readouterr()}"
    assert "7731" not in told
    assert "7732" not in told
