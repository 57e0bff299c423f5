"""A seeded slice of `make dual`, through the same code."""

from __future__ import annotations

from pathlib import Path

from tests import needs
from tests.chaos import dual


def test_a_few_writes_to_two_sides_leave_no_divergence_unnamed(tmp_path: Path) -> None:
    needs.program("s3270")
    told: list[str] = []
    assert dual.run(tmp_path, 15, 4, slow=False, say=told.append), "\n".join(told)
