"""A row of the chaos table: a party, a fault, and what its callers may see while it lasts. Survived is:

every call ended within its deadline and a second, with the right class of error or a right answer; right answers afterwards without a
restart; nothing leaked (threads, descriptors, children, zombies).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from fixtures.faults import Fault
from tests.chaos.processes import Counts
from tests.chaos.rig import DEADLINE, GRACE, Rig, Seen

SETTLE = 20.0  # seconds in which right answers must be back: a breaker's probe, a ghost's end, a lease's end


@dataclass(frozen=True, slots=True)
class Outcome:
    """`wrong` is '' when the row was survived; `told` are the classes that callers met; `seconds` is the longest call."""

    told: str
    seconds: float
    wrong: str = ""


Run = Callable[[Rig], Outcome]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `run` puts the fault on, asks, takes it off, and judges."""

    party: str
    fault: str
    run: Run


def line(system: str, fault: Fault, *, anew: bool = False) -> Callable[[Rig], AbstractContextManager[None]]:
    """A fault of the line to a system. `anew` ends the open connections first, so that the fault is met in connecting."""

    @contextmanager
    def on(rig: Rig) -> Iterator[None]:
        proxy = rig.proxies[system]
        if anew:
            proxy.set(Fault(refuse=True))
        proxy.set(fault)
        try:
            yield
        finally:
            proxy.clear()

    return on


def back_end(
    system: str,
    fault: str,
    on: Callable[[Rig], AbstractContextManager[object]],
    allowed: str,
    *names: str,
    calls: int = 4,
    well: Sequence[str] | None = None,
    settle: float = SETTLE,
) -> Row:
    """`names` are asked `calls` times at once while `on(rig)` lasts; `allowed` are the problem types, and `right`, that they may meet."""
    permitted = set(allowed.split())

    def run(rig: Rig) -> Outcome:
        with on(rig):
            seen = rig.together(list(names) * calls)
        return judged(seen, permitted) or _afterwards(rig, seen, names if well is None else well, settle)

    return Row(system, fault, run)


def judged(seen: Sequence[Seen], permitted: set[str], most: float = DEADLINE + GRACE) -> Outcome | None:
    """An outcome only when something was wrong with these answers."""
    slowest = max(s.seconds for s in seen)
    strange = sorted({f"{s.status} {s.slug}" for s in seen if s.slug not in permitted})
    if strange:
        return Outcome(_classes(seen), slowest, f"met {', '.join(strange)}")
    return Outcome(_classes(seen), slowest, f"a call took {slowest:.1f} s") if slowest > most else None


def _afterwards(rig: Rig, seen: Sequence[Seen], names: Sequence[str], settle: float) -> Outcome:
    told, slowest = _classes(seen), max(s.seconds for s in seen)
    began = time.monotonic()
    wrong = rig.well(names, settle)
    back = time.monotonic() - began
    return Outcome(f"{told}; well after {back:.1f} s", slowest, wrong and f"afterwards: {wrong}")


def _classes(seen: Sequence[Seen]) -> str:
    counts: dict[str, int] = {}
    for s in seen:
        counts[s.slug] = counts.get(s.slug, 0) + 1
    return ", ".join(f"{n} {slug}" for slug, n in sorted(counts.items()))


def leaked(rig: Rig, base: Counts, seconds: float = 8.0, threads: int = 10) -> str:
    """What stays above the baseline for `seconds`: '' or words. Some threads begin with the first need of them, once: the job worker's with
    its first job (its trail's writer, who tells late, its SFTP connections), a worker's when a crowd first comes."""
    until = time.monotonic() + seconds
    while (grown := rig.counts().over(base, threads=threads)) and time.monotonic() < until:
        time.sleep(0.2)
    return grown
