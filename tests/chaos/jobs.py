"""Faults of the payment drop: files half written, replies lost or doubled, a full disk. No payment is ever made twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from fixtures.faults import Fault
from tests.chaos.rig import Rig, Seen
from tests.chaos.rows import Outcome, Row, line

PAYMENT = {"debtor": "000100010001", "creditor": "000123450001", "due": "2026-12-01"}
SETTLED = 30.0


def pay(rig: Rig, amount: str = "1.00", wait: int = 0) -> Seen:
    """One payment, accepted as a job."""
    key = f"pay-{rig.dice.getrandbits(60)}"
    headers = {"Idempotency-Key": key, **({"Prefer": f"wait={wait}"} if wait else {})}
    return rig.send("POST", "/v1/payments", {"payments": [{**PAYMENT, "amount": amount}]}, headers)


def job(rig: Rig, location: str) -> Any:
    return rig.send("GET", location).body["meta"]["job"]


def settled(rig: Rig, location: str, *states: str, seconds: float = SETTLED) -> str:
    """'' when the job gets to one of `states` in time, else the state it is in."""
    until = time.monotonic() + seconds
    while (state := job(rig, location)["state"]) not in states:
        if time.monotonic() > until:
            return str(state)
        time.sleep(0.1)
    return ""


def _while(on: Callable[[Rig], AbstractContextManager[object]], during: str = "") -> Callable[[Rig], Outcome]:
    """A payment taken during the fault: published once, when it is over, and answered; or failed, and then the batch has nothing of it."""

    def run(rig: Rig) -> Outcome:
        with on(rig):
            seen = pay(rig)
            if seen.status != 202:
                return Outcome(f"{seen.status} {seen.slug}", seen.seconds, f"expected 202, met {seen.status} {seen.slug}")
            time.sleep(1.5)
            state = str(job(rig, seen.headers["location"])["state"])  # type: ignore[index]
        assert seen.headers is not None
        left = settled(rig, seen.headers["location"], "replied", "failed")
        end = job(rig, seen.headers["location"])["state"]
        batch = seen.headers["location"].rpartition("/")[2]
        made = [p for p in rig.estate.drop.batch.journal.payments if p.batch == batch]
        wrong = f"still {left}" if left else "" if len(made) == (end == "replied") else f"{end}, paid {len(made)} times"
        return Outcome(f"{state}, then {end}; paid {len(made)} time(s)", seen.seconds, wrong)

    return run


@contextmanager
def _full(rig: Rig) -> Iterator[None]:
    rig.estate.drop.full = True
    try:
        yield
    finally:
        rig.estate.drop.full = False


def _reply_lost(rig: Rig) -> Outcome:
    """The batch pays and its reply is lost: the job stays open and is told as such, it is neither failed nor sent again."""
    rig.estate.drop.batch.lose = 1
    seen = pay(rig)
    assert seen.headers is not None
    location = seen.headers["location"]
    batch = location.rpartition("/")[2]
    left = settled(rig, location, "published")
    time.sleep(1.0)
    state = job(rig, location)["state"]
    outcomes = rig.estate.drop.batch.journal.outcomes(batch)
    wrong = left or ("" if state == "published" and outcomes == ["processed"] else f"{state}, {outcomes}")
    return Outcome(f"{state}, processed once", seen.seconds, wrong)


def _reply_twice(rig: Rig) -> Outcome:
    """The reply comes again after it was taken: the first one stays the answer."""
    rig.estate.drop.batch.twice = 1
    seen = pay(rig)
    assert seen.headers is not None
    location = seen.headers["location"]
    left = settled(rig, location, "replied")
    first = rig.send("GET", location).body["data"]
    rig.estate.drop.batch.again.wait(5)
    time.sleep(1.0)
    after = rig.send("GET", location).body
    wrong = left or ("" if after["data"] == first and after["meta"]["job"]["state"] == "replied" else "the answer has changed")
    return Outcome("replied; the second reply changed nothing", seen.seconds, wrong)


def _half_reply(rig: Rig) -> Outcome:
    """A reply file without its done file is not one yet; a job is not answered from half of it."""
    batch = rig.estate.drop.batch
    batch.held.set()
    try:
        seen = pay(rig)
        assert seen.headers is not None
        location = seen.headers["location"]
        left = settled(rig, location, "published")
        id = location.rpartition("/")[2]
        half = rig.estate.drop.root / "pay" / "out" / f"PAY.{id}.RSP"
        half.write_bytes(id.encode("cp037"))
        time.sleep(1.0)
        during = job(rig, location)["state"]
        half.unlink()
    finally:
        batch.held.clear()
    after = settled(rig, location, "replied")
    return Outcome(
        f"{during}, then replied", seen.seconds, left or after or ("" if during == "published" else f"was {during} by half a reply")
    )


def rows() -> list[Row]:
    return [
        Row("drop", "disk full", _while(_full)),
        Row("drop", "refused (payment)", _while(line("drop", Fault(refuse=True)))),
        Row("drop", "mute (payment)", _while(line("drop", Fault(mute=200)))),
        Row("drop", "cut (payment)", _while(line("drop", Fault(cut=3000)))),
        Row("drop", "reply lost", _reply_lost),
        Row("drop", "reply twice", _reply_twice),
        Row("drop", "half reply", _half_reply),
    ]
