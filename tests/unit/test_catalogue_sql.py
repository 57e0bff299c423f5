"""Optional parameters in SQL: one that is left out is NULL, so a statement must ask whether it is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wrapper import catalogue

BASE = Path(__file__).parents[1] / "bad_catalogue" / "base"


def faults(folder: Path, condition: str) -> list[str]:
    """Faults of the base catalogue when customers.get has an optional `day` and this condition."""
    shutil.copytree(BASE, folder)
    file = folder / "endpoints" / "customers.get.yaml"
    text = file.read_text().replace("\nresponse:", "\n  day: {in: query, type: date, optional: true}\nresponse:")
    text = text.replace("CUSTNO = :customer_id", f"CUSTNO = :customer_id AND {condition}").replace("sql: ", "sql: >-\n    ")
    file.write_text(text)
    return [fault.message for fault in catalogue.check(folder)[0]]


@pytest.mark.parametrize(
    "condition",
    [
        "(CAST(:day AS DATE) IS NULL OR SINCE >= :day)",
        "(cast( :day as varchar(10) ) is null or SINCE >= :day)",
        "(:day IS NULL OR SINCE >= :day)",
        "(:day is  not null AND SINCE >= :day)",
        "SINCE >= COALESCE(:day, SINCE)",
    ],
)
def test_a_statement_that_asks_whether_the_value_is_there_is_good(tmp_path: Path, condition: str) -> None:
    assert faults(tmp_path / "catalogue", condition) == []


@pytest.mark.parametrize(
    "condition",
    [
        "SINCE >= :day",
        "(SINCE IS NULL OR SINCE >= :day)",
        "SINCE >= :day AND ':day IS NULL' <> ''",
        "SINCE >= :day /* :day IS NULL */",
        "(:daylight IS NULL OR SINCE >= :day)",
    ],
)
def test_any_other_is_told(tmp_path: Path, condition: str) -> None:
    told = faults(tmp_path / "catalogue", condition)
    assert any(message.startswith("'day' is optional, and NULL in the SQL when it is left out") for message in told)
