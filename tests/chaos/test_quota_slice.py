"""A seeded slice of `make quota`, through the same code."""

from __future__ import annotations

from pathlib import Path

from tests import needs
from tests.chaos import quota


def test_four_workers_grant_one_limit_together(tmp_path: Path) -> None:
    needs.program("s3270")
    told: list[str] = []
    assert quota.run(tmp_path, 5, seconds=6, limits="50/s", stores="sqlite", events="nothing", say=told.append), "\n".join(told)
