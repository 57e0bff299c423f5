"""A seeded slice of `make lus`, through the same code."""

from __future__ import annotations

from pathlib import Path

from tests import needs
from tests.chaos import lus


def test_four_workers_share_three_lus(tmp_path: Path) -> None:
    needs.program("s3270")
    told: list[str] = []
    assert lus.run(tmp_path, 5, seconds=4, clients=8, say=told.append), "\n".join(told)
