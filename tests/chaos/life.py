"""What happens to the facade's own processes: killed, stopped, reloaded, the clock moved."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.jobs import pay, settled
from tests.chaos.load import Load
from tests.chaos.rig import DEADLINE, GRACE, Rig, Seen
from tests.chaos.rows import Outcome, Row

READS = ("customers.get", "income.summary", "credit.check", "accounts.direct", "applications.get")
STOPPED = 20.0  # seconds: longer than any lease
RELOADED = 15.0  # seconds that a reload may take while others use the machine
BUSY = ("unavailable", "pool-exhausted", "circuit-open", "deadline-exceeded", "not-ready")


def _worker_killed(rig: Rig) -> Outcome:
    """Its own requests are lost, nobody else's; another one takes its place."""
    before = rig.workers()
    with Load(rig, READS) as load:
        time.sleep(0.5)
        os.kill(before[0], signal.SIGKILL)
        time.sleep(3.0)
    lost = [s for s in load.seen if s.slug == "lost"]
    strange = load.but("right", "lost", *BUSY)
    after = rig.well(READS, 30)
    wrong = "" if not strange else f"met {strange[0].status} {strange[0].slug}"
    if len(lost) > 16:
        wrong = f"{len(lost)} requests lost"
    if before[0] in rig.workers() or len(rig.workers()) != len(before):
        wrong = "no other worker took its place"
    return Outcome(load.told, load.slowest, wrong or after)


def _job_worker_killed(rig: Rig) -> Outcome:
    """Five payments, the job worker killed after each: every one is made once and answered."""
    places = []
    for _ in range(5):
        seen = pay(rig)
        if seen.headers is None or seen.status != 202:
            return Outcome("", seen.seconds, f"a payment was met with {seen.status} {seen.slug}")
        places.append(seen.headers["location"])
        time.sleep(rig.dice.random() * 0.3)
        for pid in rig.pids("jobs work"):
            os.kill(pid, signal.SIGKILL)
    left = [state for place in places if (state := settled(rig, place, "replied", seconds=100))]
    batches = [place.rpartition("/")[2] for place in places]
    made = [sum(p.batch == batch for p in rig.estate.drop.batch.journal.payments) for batch in batches]
    return Outcome(f"paid {made} times", 0.0, f"left {left}" if left else "" if made == [1] * 5 else "not each was paid once")


def _stopped_beyond_a_lease(rig: Rig) -> Outcome:
    """A worker sleeps longer than its leases last. Others go on; awake again it says nothing wrong."""
    stopped = rig.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        time.sleep(STOPPED)
    finally:
        os.kill(stopped, signal.SIGCONT)
    with Load(rig, READS) as load:
        time.sleep(3.0)
    strange = load.but("right", "lost", *BUSY)
    return Outcome(load.told, load.slowest, (f"met {strange[0].status} {strange[0].slug}" if strange else "") or rig.well(READS, 30))


def _reloaded(rig: Rig) -> bool:
    before, until = set(rig.workers()), time.monotonic() + RELOADED
    os.kill(rig.served.pid, signal.SIGHUP)
    while before & set(rig.workers()) or len(rig.workers()) != len(before):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _hup_under_load(rig: Rig) -> Outcome:
    """Three reloads in a row: not one request fails."""
    with Load(rig, ("income.summary", "credit.check", "accounts.direct", "applications.get"), clients=5) as load:
        wrong = "" if all(_reloaded(rig) for _ in range(3)) else f"the old workers are still there {RELOADED} s after a HUP"
    failed = load.but("right")
    if failed:
        wrong = f"{len(failed)} failed, e.g. {failed[0].status} {failed[0].slug} {failed[0].body}"
    elif load.slowest > DEADLINE + GRACE:
        wrong = f"a call took {load.slowest:.1f} s"
    return Outcome(load.told, load.slowest, wrong or rig.well(READS, 30))


def _clock_step(rig: Rig) -> Outcome:
    """The wall clock goes forward an hour, back two, and forward again, under load: writes and payments happen once."""
    places, moved = [], []
    with Load(rig, READS) as load:
        for step in ("3600", "-3600", "0"):
            seen = pay(rig)
            places.append((seen.headers or {}).get("location", ""))
            (rig.folder / CLOCK).write_text(step)
            time.sleep(1.5)
            body = {"line1": f"STEP {step}", "town": "LEEDS", "postcode": "LS1 4DY"}
            moved.append(_moved(rig, body, f"step{step}"))
    strange = load.but("right", *BUSY)
    left = [state for place in places if (state := settled(rig, place, "replied"))]
    journal = rig.estate.drop.batch.journal
    paid = [sum(p.batch == place.rpartition("/")[2] for p in journal.payments) for place in places]
    wrong = f"met {strange[0].status} {strange[0].slug}" if strange else f"jobs left {left}" if left else ""
    if not wrong and (paid != [1, 1, 1] or [m.status for m in moved] != [200] * 3):
        wrong = f"paid {paid}, moved {[m.status for m in moved]}"
    return Outcome(f"{load.told}; paid {paid}, moved {[m.status for m in moved]}", load.slowest, wrong or rig.well(READS, 30))


def _moved(rig: Rig, body: Mapping[str, str], key: str) -> Seen:
    """Asked again under its key while every session is busy."""
    until = time.monotonic() + 10
    while (seen := rig.send("PUT", f"/v1/customers/{rig.customers[60].id}/address", body, {"Idempotency-Key": key})).status == 503:
        if time.monotonic() > until:
            break
    return seen


CLOCK = "clock"


def clock_environ(folder: Path) -> dict[str, str]:
    """The wall clock of every process of the facade is as far off as the file CLOCK says, in seconds."""
    (folder / CLOCK).write_text("0")
    return {"PYTHONPATH": str(Path(__file__).parent / "moving_clock"), "FIGWAY_TEST_CLOCK": str(folder / CLOCK)}


def clock_rows() -> list[Row]:
    """For a rig with clock_environ()."""
    return [Row("process", "clock step", _clock_step)]


def rows() -> list[Row]:
    return [
        Row("process", "SIGKILL of a worker", _worker_killed),
        Row("process", "SIGKILL of job worker", _job_worker_killed),
        Row("process", "SIGSTOP beyond a lease", _stopped_beyond_a_lease),
        Row("process", "HUP under load", _hup_under_load),
    ]
