"""`make kills`: kill -9 of a worker or the job worker in the middle of writes, at random moments.

Counted from the back ends' own journals: every write happened exactly once or is reported unknown; most of the unknown ones are settled
by asking; no payment file is published twice. A caller whose connection broke asks again under the same key until it is told.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.customers import Customer, everyone
from tests.chaos.jobs import PAYMENT, settled
from tests.chaos.rig import Rig, Seen
from tests.chaos.script import main
from tests.chaos.table import warm

WRITERS = 4
AIMED = 0.5  # of the kills, at the moment of a commit
PATIENCE = 90.0  # seconds in which a key must be told: a dead worker's reservation counts as dead half a minute past its deadline
AGAIN = (0, 409, 503)
SETTLED_AT_LEAST = 0.9


@dataclass(slots=True)
class Write:
    """One write under its key, and all that its caller was told of it."""

    kind: str  # address or payment
    key: str
    mark: str  # what names it in the back end's journal: the address line, or the creditor's reference
    who: Customer
    told: list[Seen] = field(default_factory=list)

    @property
    def last(self) -> Seen:
        return self.told[-1]

    @property
    def was_unknown(self) -> bool:
        return any(seen.slug == "outcome-unknown" for seen in self.told) or self.settled

    @property
    def settled(self) -> bool:
        return self.last.status in (200, 202) and bool(self.last.body["meta"].get("settled"))


class Kills:
    """Writers that write one after the other, each time to another customer, and somebody who kills."""

    def __init__(self, rig: Rig, kills: int) -> None:
        self._rig, self._kills = rig, kills
        self._stop = threading.Event()
        self.writes: list[Write] = []
        self.killed = Counter[str]()

    def run(self) -> None:
        writers = [threading.Thread(target=self._writer, args=(n,), daemon=True) for n in range(WRITERS)]
        for thread in writers:
            thread.start()
        while sum(self.killed.values()) < self._kills:
            time.sleep(self._rig.dice.uniform(0.05, 0.5))
            if self._rig.dice.random() < AIMED:
                self._await_commit()
            self._kill()
        self._stop.set()
        for thread in writers:
            thread.join(60)
        until = time.monotonic() + PATIENCE
        while (open_ := [w for w in self.writes if not final(w)]) and time.monotonic() < until:
            for write in open_:
                self._send(write)
            time.sleep(1.0)

    def _await_commit(self) -> None:
        """The moment between an act and its confirmation is short: some kills wait for it."""
        before, until = self._rig.estate.host.journal.count("commit"), time.monotonic() + 1
        while self._rig.estate.host.journal.count("commit") == before and time.monotonic() < until:
            time.sleep(0.0005)

    def _kill(self) -> None:
        whom = "job worker" if self._rig.dice.random() < 0.3 else "worker"
        pids = self._rig.pids("jobs work") if whom == "job worker" else self._rig.workers()
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self._rig.dice.choice(pids), signal.SIGKILL)
                self.killed[whom] += 1

    def _writer(self, number: int) -> None:
        n = 0
        while not self._stop.is_set():
            n += 1
            kind = "payment" if (number + n) % 4 == 0 else "address"
            write = Write(kind, f"kill-{number}-{n}", f"{number}-{n} KILL STREET", everyone()[200 + number + WRITERS * n])
            self.writes.append(write)
            self._send(write)
            if write.last.status == 0:
                time.sleep(0.05)
                self._send(write)

    def _send(self, write: Write) -> None:
        if write.kind == "address":
            body: dict[str, object] = {"line1": write.mark, "town": "LEEDS", "postcode": "LS1 4DY"}
            method, path = "PUT", f"/v1/customers/{write.who.id}/address"
        else:
            body = {"payments": [{**PAYMENT, "amount": "1.00"}]}
            method, path = "POST", "/v1/payments"
        write.told.append(self._rig.send(method, path, body, {"Idempotency-Key": write.key}))


def final(write: Write) -> bool:
    """A caller has been told what became of it, for good."""
    return write.last.status not in AGAIN and write.last.slug != "outcome-unknown"


def judged(rig: Rig, kills: Kills, say: Callable[[str], None]) -> list[str]:
    """What is wrong: nothing, when the journals bear out what callers were told."""
    commits = Counter(e.after.line1 for e in rig.estate.host.journal.entries("commit") if e.after)
    addresses = [w for w in kills.writes if w.kind == "address"]
    payments = [w for w in kills.writes if w.kind == "payment"]
    wrong = [f"{w.mark}: told {w.last.status}, written {commits[w.mark]} times" for w in addresses if commits[w.mark] > 1]
    wrong += [f"{w.mark}: told 200, not written" for w in addresses if w.last.status == 200 and not commits[w.mark]]
    wrong += [
        f"{w.mark}: told {w.last.status} {w.last.slug}, and written"
        for w in addresses
        if w.last.status != 200 and w.last.slug != "outcome-unknown" and commits[w.mark]
    ]
    undecided = [w for w in kills.writes if w.last.status in AGAIN]
    wrong += [f"{w.key}: nobody was told what became of it: {w.last.status} {w.last.slug} {w.last.body}" for w in undecided]
    unknown = [w for w in addresses if w.was_unknown]
    left = [w for w in addresses if w.last.slug == "outcome-unknown"]
    if len(left) > (1 - SETTLED_AT_LEAST) * max(len(unknown), 1):
        wrong.append(f"{len(left)} of {len(unknown)} unknown writes were not settled")
    wrong += _payments(rig, payments)
    say(f"writes: {len(addresses)} addresses, {len(payments)} payments; kills: {dict(kills.killed)}")
    say(f"addresses: {sum(commits[w.mark] == 1 for w in addresses)} written once; {len(unknown)} were unknown, {len(left)} still are")
    return wrong


def _payments(rig: Rig, payments: list[Write]) -> list[str]:
    """Every accepted batch is paid once and answered; no file was taken twice."""
    wrong = []
    paid = Counter(p.batch for p in rig.estate.drop.batch.journal.payments)
    for write in payments:
        places = {seen.headers["location"] for seen in write.told if seen.status == 202 and seen.headers}
        if len(places) > 1:
            wrong.append(f"{write.key}: two jobs for one key")
        for place in places:
            left = settled(rig, place, "replied", seconds=PATIENCE)
            times = paid[place.rpartition("/")[2]] or sum(
                p.batch == place.rpartition("/")[2] for p in rig.estate.drop.batch.journal.payments
            )
            wrong += [f"{place}: {left or 'replied'}, paid {times} times"] if left or times != 1 else []
    twice = [batch for batch, outcome in rig.estate.drop.batch.journal.batches if outcome != "processed"]
    return [*wrong, *(f"batch {batch} was published twice" for batch in twice)]


def run(folder: Path, kills: int, seed: int, say: Callable[[str], None] = print) -> bool:
    say(f"kills: {kills} at random moments, seed {seed}")
    with Rig(folder, seed=seed, workers=2) as rig:
        warm(rig)
        done = Kills(rig, kills)
        done.run()
        wrong = judged(rig, done, say)
    for line in wrong[:20]:
        say(f"FAILED: {line}")
    say(f"kills: {'every write happened once or is reported unknown' if not wrong else 'not survived'}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main("tests.chaos.kills", __doc__, run, kills=50))
