"""`make lus`: four workers and three LUs.

Never more than three sessions on the host by its own journal, every client served, an idle holder yields; ghosts of killed workers
recover; a wrong password is tried once per user id by all of them together.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.load import Load
from tests.chaos.rig import Rig
from tests.chaos.rows import GRACE
from tests.chaos.script import main

WORKERS, LUS = 4, 3
PATIENT = 8.0  # seconds: what the demo gives a 3270 call
YIELD = 1.0  # seconds in which an idle holder gives its LU to who waits
SIGNING_ON = 0.5
BUSY = ("unavailable", "pool-exhausted", "circuit-open", "deadline-exceeded")


def most_at_once(rig: Rig) -> int:
    """Sessions signed on at the same time, at the most, by the host's journal; a ghost counts until its user signs on again."""
    on, most = set[str](), 0
    for entry in rig.estate.host.journal.entries():
        if entry.kind == "signon":
            on.add(entry.user)
        elif entry.kind in ("signoff", "ghost"):
            on.discard(entry.user)
        most = max(most, len(on))
    return most


def served(rig: Rig, seconds: float, clients: int, say: Callable[[str], None]) -> list[str]:
    """All clients at once."""
    before = rig.estate.host.journal.count("signon")
    with Load(rig, ("customers.get", "accounts.list"), clients) as load:
        time.sleep(seconds)
    fresh = rig.estate.host.journal.count("signon") - before
    right = sorted(s.seconds for s in load.seen if s.slug == "right")
    p99 = right[int(len(right) * 0.99)] if right else 0.0
    say(f"{clients} clients, {seconds:.0f} s: {load.told}; median {statistics.median(right) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")
    say(f"fresh logons: {fresh} for {len(right)} answers ({fresh / max(len(right), 1):.1%})")
    refused = load.but("right")
    wrong = [f"met {refused[0].status} {refused[0].slug}, {len(refused)} times"] if refused else []
    return wrong + ([f"a call took {load.slowest:.1f} s"] if load.slowest > PATIENT + GRACE else [])


def yields(rig: Rig, rounds: int, say: Callable[[str], None]) -> list[str]:
    """One call at a time on many connections, so that every worker is asked while idle ones hold all LUs."""
    longest = 0.0
    for _ in range(rounds):
        seen = rig.ask("customers.get")
        if seen.slug != "right":
            return [f"met {seen.status} {seen.slug} while every holder was idle"]
        longest = max(longest, seen.seconds)
    say(f"an idle holder yields: the longest of {rounds} single calls took {longest * 1000:.0f} ms, sign-on included")
    return [f"took {longest:.1f} s"] if longest > YIELD + SIGNING_ON else []


def ghosts(rig: Rig, say: Callable[[str], None]) -> list[str]:
    """Every worker killed at once: their leases end, their ghosts end, all three LUs are in use again."""
    for pid in rig.workers():
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    rig.estate.host.journal.clear()
    until, used = began + 60, set[str]()
    while len(used) < LUS and time.monotonic() < until:
        rig.together(["customers.get"] * 6)
        used = {e.user for e in rig.estate.host.journal.entries("signon")}
    say(f"after kill -9 of all workers: {len(used)} of {LUS} users signed on again after {time.monotonic() - began:.1f} s")
    return [] if len(used) == LUS else [f"only {sorted(used)} came back"]


def wrong_password(folder: Path, seed: int, say: Callable[[str], None]) -> list[str]:
    """4 workers x 8 threads; the host counts failed sign-ons per user id."""
    folder.mkdir()
    bad = {f"FIGW0{n}_LOGIN": f"FIGW0{n}:NOTIT{n}" for n in range(1, LUS + 1)}
    with Rig(folder, seed=seed, workers=WORKERS, threads=16, **bad) as rig:
        for _ in range(3):
            seen = rig.together(["customers.get"] * 32)
        refused = [e.user for e in rig.estate.host.journal.entries("refused")]
    counts = {user: refused.count(user) for user in sorted(set(refused))}
    say(f"wrong password: failed sign-ons by user {counts}; callers met {sorted({s.slug for s in seen})}")
    wrong = [f"{user} was tried {n} times" for user, n in counts.items() if n != 1]
    if len(counts) != LUS:
        wrong.append(f"{len(counts)} users were tried, expected {LUS}")
    return wrong + [f"a call took {s.seconds:.1f} s" for s in seen if s.late][:1]


def run(folder: Path, seed: int, seconds: float = 20.0, clients: int = 12, say: Callable[[str], None] = print) -> bool:
    wrong: list[str] = []
    (folder / "four").mkdir()
    with Rig(folder / "four", seed=seed, workers=WORKERS, threads=32, deadline=PATIENT) as rig:
        wrong += served(rig, seconds, clients, say)
        wrong += yields(rig, 30, say)
        most = most_at_once(rig)
        say(f"sessions on the host at once: {most} at the most")
        wrong += [f"{most} sessions at once"] if most > LUS else []
        wrong += ghosts(rig, say)
    wrong += wrong_password(folder / "bad", seed, say)
    for line in wrong:
        say(f"FAILED: {line}")
    say(f"lus: {'as promised' if not wrong else 'not as promised'}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main("tests.chaos.lus", __doc__, run, seconds=20.0))
