"""The chaos table: rows in order against one rig, each judged, and nothing may have leaked after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos import backends, callers, jobs, life, store
from tests.chaos.rig import Rig
from tests.chaos.rows import Outcome, Row, leaked
from tests.chaos.truth import QUESTIONS

HEALTHY = [name for name in QUESTIONS if not name.startswith("lost")]


def every_row() -> list[Row]:
    return [*backends.rows(), *jobs.rows(), *callers.rows(), *store.rows(), *life.rows()]


def run(folder: Path, *, only: str = "", seed: int = 1, rows: Sequence[Row] | None = None, say: Callable[[str], None] = print) -> bool:
    """Whether every row was survived; prints a line each and the count."""
    chosen = [row for row in (every_row() if rows is None else rows) if only in f"{row.party} {row.fault}"]
    say(f"chaos: {len(chosen)} faults, seed {seed}")
    survived = 0
    with Rig(folder, seed=seed) as rig:
        warm(rig)
        base = rig.counts()
        for row in chosen:
            outcome = _run(row, rig)
            wrong = outcome.wrong or (grown and f"leaked: {grown}" if (grown := leaked(rig, base)) else "")
            survived += not wrong
            verdict = f"FAILED: {wrong}" if wrong else "survived"
            say(f"{row.party:13} {row.fault:22} {outcome.seconds:5.2f} s  {verdict}  ({outcome.told})")
    say(f"faults: {survived} of {len(chosen)} survived")
    return survived == len(chosen)


def _run(row: Row, rig: Rig) -> Outcome:
    try:
        return row.run(rig)
    except Exception as error:  # noqa: BLE001 - a row that can't be run is not survived
        return Outcome("", 0.0, f"{type(error).__name__}: {error}")


def warm(rig: Rig) -> None:
    """Every pool filled, so that what comes later is no growth."""
    until = time.monotonic() + 30
    for name in HEALTHY:
        while rig.ask(name).slug != "right":
            if time.monotonic() > until:
                raise RuntimeError(f"{name} is not answered rightly by a healthy estate: {rig.ask(name)}")
            time.sleep(0.1)
    for _ in range(3):
        rig.together(HEALTHY * 2)
