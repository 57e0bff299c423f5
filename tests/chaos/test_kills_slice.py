"""A seeded slice of `make kills`, through the same code."""

from __future__ import annotations

from pathlib import Path

from tests import needs
from tests.chaos import kills


def test_a_few_kills_leave_every_write_once_or_unknown(tmp_path: Path) -> None:
    needs.program("s3270")
    told: list[str] = []
    assert kills.run(tmp_path, 5, 7, told.append), "\n".join(told)
