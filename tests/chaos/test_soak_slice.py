"""A seeded slice of `make soak`, through the same code."""

from __future__ import annotations

from pathlib import Path

from tests import needs
from tests.chaos import soak


def test_a_short_soak_is_survived(tmp_path: Path) -> None:
    needs.program("s3270")
    told: list[str] = []
    assert soak.run(tmp_path, 12, 11, told.append), "\n".join(told)
