"""A slice of `make bench`: every row is measured and every answer is right; how fast is not asked here."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from tests.live import ROOT
from tests.needs import program


def test_every_row_of_the_bench_is_measured() -> None:
    program("s3270")
    ran = subprocess.run([sys.executable, "-m", "tests.bench", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stderr[-2000:]  # a wrong or a missing answer ends it
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in ran.stdout.splitlines() if line.startswith("|")][2:]
    assert Counter(key for key, _, _, promised, verdict in table if promised and verdict) == Counter(
        {"a": 2, "b": 1, "c": 2, "d": 2, "e": 4, "f": 2, "g": 1, "h": 4, "3": 1, "p": 1}
    )
    assert all(measured for _, _, measured, _, _ in table)
