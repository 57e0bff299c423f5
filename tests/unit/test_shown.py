"""A difference is kept without anybody's name in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wrapper.migration.compare import compare
from wrapper.migration.rules import Rules
from wrapper.migration.shown import shown
from wrapper.operation import Field
from wrapper.rows import Rows

FIELDS = (
    Field("id", "string"),
    Field("open", "boolean"),
    Field("name", "string", pii="name", mask="initials"),
    Field("deceased", "boolean", pii="health"),
    Field("address", "object", pii="address", of=(Field("line", "string"), Field("number", "integer"))),
    Field("notes", "list", pii="notes", of=(Field("text", "string"),)),
)
ROW: dict[str, Any] = {
    "id": "7", "open": True, "name": "Ada Lovelace", "deceased": True, "address": {"line": "Elm Street", "number": 12},
    "notes": [{"text": "allergic"}],
}  # fmt: skip
PERSONAL = ("Ada", "Lovelace", "Elm", "Oak", "12", "allergic", "well")


def samples(control: Any, candidate: Any) -> list[dict[str, Any]]:
    sides = [Rows(rows, (), "") for rows in (control, candidate)]
    return [shown(met, "items", FIELDS) for met in compare(*sides, FIELDS, Rules()).differences]


@pytest.mark.parametrize(
    "candidate",
    [
        (),
        (ROW | {"address": {"line": "Oak Street", "number": 12}},),
        (ROW | {"notes": [{"text": "well"}, {"text": "allergic"}]},),
        (ROW | {"name": "Ada King", "deceased": False},),
    ],
)
def test_what_lies_in_a_personal_object_or_list_is_personal(candidate: Any) -> None:
    told = samples((ROW,), candidate)
    assert told
    text = json.dumps(told)
    assert [word for word in PERSONAL if word in text] == []


def test_what_is_not_personal_is_shown_and_so_is_how_many_there_are() -> None:
    (met,) = samples((ROW,), (ROW | {"open": False},))
    assert (met["control"], met["candidate"]) == (True, False)
    counts = [met for met in samples((ROW,), (ROW | {"notes": []},)) if met["class"] == "count"]
    assert [(met["control"], met["candidate"]) for met in counts] == [("1", "0")]
    (met,) = samples((ROW,), (ROW | {"deceased": False},))
    assert met["control"] == met["candidate"]
