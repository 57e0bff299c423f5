"""What is printed of an object may end in a log: it holds no secret and no value of a customer."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import Call, Reply, Ticket
from adapters.httpwire import Answer
from adapters.odbc.session import Database
from adapters.sftp.extract import Version
from adapters.tn3270.plan import Outcome, Question
from adapters.tn3270.users import Seat
from wrapper import request
from wrapper.request import Given
from wrapper.rows import Rows
from wrapper.state.records import Reservation

SECRET = "MUELLER"
CALL = Call("test", None, {"name": SECRET}, 0.0)


@pytest.mark.parametrize(
    "shown",
    [
        CALL,
        Ticket("ABCDEFGH0001", CALL),
        Reply(({"name": SECRET},), "bank"),
        Answer(200, "text/plain", {"x": SECRET}, SECRET.encode()),
        Database("ledger", f"UID=u;PWD={SECRET}", None, True, 1.0),
        Version(SECRET.encode(), {SECRET.encode(): 0}, None),
        Seat("bank:LU1", "LU1", "bank:LU1#0000", "FIGW01", SECRET),
        Question({"a": SECRET}, {"a": SECRET}, {"a": SECRET}, {"a": SECRET}),
        Outcome(({"name": SECRET},), True),
        Rows(({"name": SECRET},), (), "bank"),
        Given({"name": SECRET}, {}, {}, {}),
        Reservation("done", {"body": SECRET}),
        request.Answer(200, {"data": SECRET}),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_a_repr_shows_no_value(shown: Any) -> None:
    assert SECRET not in repr(shown)
