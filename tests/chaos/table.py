"""The chaos table: rows in order against one rig, each judged, and nothing may have leaked after it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import backends, callers, jobs, life, store
from tests.chaos.processes import Counts
from tests.chaos.rig import Rig
from tests.chaos.rows import Outcome, Row, leaked
from tests.chaos.truth import QUESTIONS

HEALTHY = [name for name in QUESTIONS if not name.startswith("lost")]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that share a rig, which `rig(folder, seed)` makes."""

    name: str
    rig: Callable[[Path, int], Rig]
    rows: Sequence[Row]


def parts() -> list[Part]:
    main = [*backends.rows(), *jobs.rows(), *callers.rows(), *store.rows(), *life.rows()]
    return [
        Part("main", lambda folder, seed: Rig(folder, seed=seed), main),
        Part("postgres", lambda folder, seed: Rig(folder, seed=seed, postgres_store=True), store.postgres_rows()),
        Part("clock", lambda folder, seed: Rig(folder, seed=seed, **life.clock_environ(folder)), life.clock_rows()),
    ]


def run(folder: Path, *, only: str = "", seed: int = 1, most: int = 10_000, say: Callable[[str], None] = print) -> bool:
    """Whether every row was survived; prints a line each and the count. `most` rows at the most are drawn, by the seed."""
    chosen = [(part, row) for part in parts() for row in part.rows if only in f"{row.party} {row.fault}"]
    if len(chosen) > most:
        drawn = set(random.Random(seed).sample(range(len(chosen)), most))
        chosen = [both for n, both in enumerate(chosen) if n in drawn]
    say(f"chaos: {len(chosen)} faults, seed {seed}")
    survived = 0
    for part in parts():
        rows = [row for of, row in chosen if of.name == part.name]
        if rows:
            (folder / part.name).mkdir()
            with part.rig(folder / part.name, seed) as rig:
                survived += sum(_one(row, rig, base, say) for base in [warm(rig)] for row in rows)
    say(f"faults: {survived} of {len(chosen)} survived")
    return survived == len(chosen)


def _one(row: Row, rig: Rig, base: Counts, say: Callable[[str], None]) -> bool:
    outcome = _run(row, rig)
    wrong = outcome.wrong or (f"leaked: {grown}" if (grown := leaked(rig, base)) else "")
    say(f"{row.party:13} {row.fault:22} {outcome.seconds:5.2f} s  {f'FAILED: {wrong}' if wrong else 'survived'}  ({outcome.told})")
    return not wrong


def _run(row: Row, rig: Rig) -> Outcome:
    try:
        return row.run(rig)
    except Exception as error:  # noqa: BLE001 - a row that can't be run is not survived
        return Outcome("", 0.0, f"{type(error).__name__}: {error}")


def warm(rig: Rig) -> Counts:
    """Every pool filled and every thread begun, so that what comes later is no growth; what is held then is the baseline."""
    until = time.monotonic() + 30
    for name in HEALTHY:
        while rig.ask(name).slug != "right":
            if time.monotonic() > until:
                raise RuntimeError(f"{name} is not answered rightly by a healthy estate: {rig.ask(name)}")
            time.sleep(0.1)
    for _ in range(4):
        rig.together(HEALTHY * 8)
    return rig.counts()
