"""A seeded slice of `make chaos`, through the same code."""

from __future__ import annotations

from pathlib import Path

from tests import needs
from tests.chaos import table

SEED, ROWS = 3, 14


def test_a_slice_of_the_faults_is_survived(tmp_path: Path) -> None:
    needs.program("s3270")
    told: list[str] = []
    assert table.run(tmp_path, seed=SEED, most=ROWS, say=told.append), "\n".join(told)
    assert told[-1] == f"faults: {ROWS} of {ROWS} survived"
