"""Faults of back ends: of the line to them, and of what they say."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from fixtures import odbc
from fixtures.faults import Fault
from tests.chaos.rig import Rig
from tests.chaos.rows import Outcome, Row, back_end, line

ASKED = {
    "corebank": ("customers.get", "accounts.list"),
    "bureau": ("credit.check",),
    "ledger": ("income.summary", "ledger.entries"),
    "drop": ("applications.get",),
    "accounts-api": ("accounts.direct",),
}
GONE = "unavailable pool-exhausted circuit-open"
LATE = f"{GONE} deadline-exceeded"


def _host(**switches: object) -> Callable[[Rig], AbstractContextManager[None]]:
    """Switches of the mainframe; the counting ones are set back."""

    @contextmanager
    def on(rig: Rig) -> Iterator[None]:
        before = {name: getattr(rig.estate.host.switches, name) for name in switches}
        for name, value in switches.items():
            setattr(rig.estate.host.switches, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(rig.estate.host.switches, name, value)

    return on


@contextmanager
def _stopped(rig: Rig) -> Iterator[None]:
    stopped = rig.terminals()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    yield  # nobody wakes them: they must be killed and replaced


@contextmanager
def _killed(rig: Rig) -> Iterator[None]:
    for pid in rig.terminals():
        os.kill(pid, signal.SIGKILL)
    yield


@contextmanager
def _locked(rig: Rig) -> Iterator[None]:
    with odbc.locked(rig.ledger.psycopg):
        yield


@contextmanager
def _restarted(rig: Rig, system: str) -> Iterator[None]:
    rig.proxies[system].set(Fault(refuse=True))
    rig.proxies[system].clear()
    yield


@contextmanager
def _web(rig: Rig, fault: str) -> Iterator[None]:
    rig.estate.bureau.fault = fault
    try:
        yield
    finally:
        rig.estate.bureau.fault = ""


@contextmanager
def _half_extract(rig: Rig) -> Iterator[None]:
    """The master extract as a job leaves it that died half-way, its done file already there."""
    master = rig.estate.drop.root / "extract" / "MASTER.DAT"
    whole = master.read_bytes()
    master.write_bytes(whole[: len(whole) // 2 + 13])
    try:
        yield
    finally:
        master.write_bytes(whole)


def _confirmation_lost(rig: Rig) -> Outcome:
    """A commit that the host did and never confirmed: unknown, never sent again, and settled by asking when its key comes again."""
    who, line1 = rig.customers[30], f"{rig.dice.getrandbits(40)} LOST STREET"
    key = {"Idempotency-Key": f"lost-{line1.partition(' ')[0]}"}
    path, body = f"/v1/customers/{who.id}/address", {"line1": line1, "town": "LEEDS", "postcode": "LS1 4DY"}
    with _host(lose_commit=1)(rig):
        seen = rig.send("PUT", path, body, key)
    first, until = f"{seen.status} {seen.slug}", time.monotonic() + 20
    while (after := rig.send("PUT", path, body, key)).status != 200 and time.monotonic() < until:
        time.sleep(0.2)
    times = sum(e.after is not None and e.after.line1 == line1 for e in rig.estate.host.journal.entries("commit"))
    settled = after.body["meta"].get("settled") if after.status == 200 else f"{after.status} {after.slug}"
    wrong = "" if (seen.slug, after.status, times) == ("outcome-unknown", 200, 1) else f"{first}, then {settled}; written {times} times"
    return Outcome(f"{first}, then settled: {settled}; written {times} time", seen.seconds, wrong)


def _lines() -> Iterator[Row]:
    for system, names in ASKED.items():
        broken = f"{LATE} misread failed"
        yield back_end(system, "refused", line(system, Fault(refuse=True)), GONE, *names)
        yield back_end(system, "mute at connect", line(system, Fault(mute=0), anew=True), LATE, *names)
        yield back_end(system, "mute mid-call", line(system, Fault(mute=40)), LATE, *names)
        yield back_end(system, "trickle", line(system, Fault(trickle=15)), LATE, *names)
        yield back_end(system, "cut mid-answer", line(system, Fault(cut=60)), broken, *names)
        yield back_end(system, "reset mid-answer", line(system, Fault(cut=60, reset=True)), broken, *names)
        yield back_end(system, "garbage", line(system, Fault(garbage=True)), broken, *names)
        yield back_end(system, "slow", line(system, Fault(latency=0.1)), f"right {LATE}", *names)
        yield back_end(system, "restarted", lambda rig, system=system: _restarted(rig, system), f"right {GONE}", *names)  # type: ignore[misc]


def rows() -> list[Row]:
    both = ASKED["corebank"]
    return [
        *(
            back_end(f"lost-{kind}", "DNS failure", line("corebank", Fault()), LATE, f"lost.{kind}", well=())
            for kind in ("http", "host", "drop")
        ),
        *_lines(),
        back_end("corebank", "pool exhausted", _host(slow=0.5), f"right not-ready {LATE}", *both, calls=10),
        back_end("corebank", "mute mid-call (host)", _host(mute=True), LATE, *both),
        back_end("corebank", "stopped s3270", _stopped, f"right {LATE}", *both, settle=40),
        back_end("corebank", "killed s3270", _killed, f"right {GONE}", *both, settle=40),
        back_end("corebank", "wrong screen", _host(wrong_screen=30), f"misread {LATE}", *both),
        back_end("corebank", "interrupting screen", _host(broadcast=6), "right pool-exhausted", *both, calls=2),
        back_end("corebank", "abend", _host(abend=100), f"failed {LATE}", *both),
        back_end("corebank", "region closed", _host(closed=True), f"closed {GONE}", *both),
        back_end("corebank", "wrong echo", _host(stale=100), f"misread {GONE}", "customers.get"),
        Row("corebank", "reply lost (write)", _confirmation_lost),
        back_end("corebank", "early unlock", _host(stale_first=6), f"right misread {LATE}", "customers.get"),
        back_end("ledger", "lock held", _locked, LATE, *ASKED["ledger"]),
        back_end("bureau", "fault page", lambda rig: _web(rig, "html_502"), f"failed misread {GONE}", "credit.check"),
        back_end("bureau", "page in a 200", lambda rig: _web(rig, "html_200"), "misread", "credit.check"),
        back_end("bureau", "redirect", lambda rig: _web(rig, "redirect"), "misread failed", "credit.check"),
        back_end("bureau", "endless answer", lambda rig: _web(rig, "huge_chunked"), f"misread {LATE}", "credit.check", calls=2),
        back_end("drop", "half file", _half_extract, "misread inadequate", "applications.get"),
    ]
