"""`make dual`: writes to two systems of record, while either of them fails, stalls, refuses or loses its answers, and processes are killed.

Counted from both sides' own journals: no write happened twice on any side; each that one side has and the other has not is an item of
the reconcile report, each item is such a write or says that nobody knows; where nothing is open both sides had the same writes in the same
order.
Then 20 writes that modern alone gets: no rollback before legacy has them, and none of them is lost.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from fixtures.customers import Customer, everyone
from fixtures.faults import Fault
from fixtures.modern import Differences
from tests.chaos.rig import Rig, Seen
from tests.chaos.script import main
from wrapper import dual
from wrapper.dual import Item
from wrapper.migration.decide import Standing
from wrapper.operation import SIDES
from wrapper.state.store import Store

WRITERS = 4
ENDPOINTS = ("customers.get", "customers.move")
GROUP = "retail-customer"
CUSTOMERS = 32
PATIENCE = 120.0  # seconds until everything is told, carried over or named: what nobody saw the end of is known half a minute later
ODD = "\N{GREEK CAPITAL LETTER OMEGA}"  # which a 3270 can't show and modern can
OWED = 20


@dataclass(slots=True)
class Move:
    """One write under its key, and all that its caller was told."""

    key: str
    mark: str  # the address line, which names it in both journals
    who: Customer
    told: list[Seen] = field(default_factory=list)

    @property
    def final(self) -> bool:
        last = self.told[-1]
        return last.status == 200 or (400 <= last.status < 500 and last.slug != "in-flight")


class Trouble:
    """Something is wrong with one of the sides, all the time, each time something else; and now and then somebody is killed."""

    def __init__(self, rig: Rig, slow: bool) -> None:
        self._rig, self._stop = rig, threading.Event()
        self._faults = self._all(slow)
        self.met = Counter[str]()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._disturb, self._kill)]

    def __enter__(self) -> Trouble:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _all(self, slow: bool) -> list[tuple[str, Callable[[bool], None]]]:
        switches = self._rig.estate.host.switches
        quick: list[tuple[str, Callable[[bool], None]]] = [
            ("legacy loses a confirmation", lambda on: setattr(switches, "lose_commit", int(on))),
            ("legacy abends", lambda on: setattr(switches, "abend", int(on))),
            ("legacy says later", lambda on: setattr(switches, "try_later", 2 * on)),
            ("legacy is cut off", lambda on: self._line("corebank", Fault(refuse=True), on)),
            ("modern fails", lambda on: self._modern(Differences(write="fail"), on)),
            ("modern crashes after the act", lambda on: self._modern(Differences(write="crash"), on)),
            ("modern refuses", lambda on: self._modern(Differences(error=422), on)),
            ("modern is cut off", lambda on: self._line("accounts-api", Fault(refuse=True), on)),
        ]
        stalling: list[tuple[str, Callable[[bool], None]]] = [
            ("legacy is slow", lambda on: setattr(switches, "slow", 0.7 * on)),
            ("legacy is mute", lambda on: self._line("corebank", Fault(mute=0), on)),
            ("modern is slow", lambda on: self._modern(Differences(write_latency=3.0), on)),
            ("modern stalls", lambda on: self._modern(Differences(stall=True), on)),
        ]
        return quick + stalling if slow else quick

    def _modern(self, wrong: Differences, on: bool) -> None:
        self._rig.estate.modern.differences = wrong if on else Differences()

    def _line(self, name: str, fault: Fault, on: bool) -> None:
        self._rig.proxies[name].set(fault if on else Fault())

    def _disturb(self) -> None:
        while not self._stop.is_set():
            name, switch = self._rig.dice.choice(self._faults)
            self.met[name] += 1
            switch(True)
            self._stop.wait(self._rig.dice.uniform(0.2, 1.2))
            switch(False)
            self._stop.wait(self._rig.dice.uniform(0.2, 0.8))

    def _kill(self) -> None:
        while not self._stop.wait(self._rig.dice.uniform(1.0, 5.0)):
            whom = "job worker" if self._rig.dice.random() < 0.5 else "worker"
            pids = self._rig.pids("jobs work") if whom == "job worker" else self._rig.workers()
            if pids:
                with suppress(ProcessLookupError):
                    os.kill(self._rig.dice.choice(pids), signal.SIGKILL)
                    self.met[f"{whom} killed"] += 1


class Movers:
    """Writers that share some customers, so that writes of one record follow each other. A `patient` one asks until it is told before it
    goes on, and makes up for what was refused; others may overtake what is unknown, and write what only modern can."""

    def __init__(self, rig: Rig, store: Store, name: str, patient: bool = False) -> None:
        self.rig, self.store, self._name, self._patient = rig, store, name, patient
        self._lock = threading.Lock()
        self.moves: list[Move] = []
        self._sent = Counter[str]()
        self.unseen: list[str] = []

    def run(self, writes: int) -> None:
        self._writes = writes
        threads = [threading.Thread(target=self._write, daemon=True) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _write(self) -> None:
        while (move := self._next()) is not None:
            for _ in range(100 if self._patient else 3):
                self.send(move)
                time.sleep(self.rig.dice.uniform(0.1, 0.6))
                if move.final:
                    break

    def _next(self) -> Move | None:
        with self._lock:
            n = len(self.moves)
            if n - self._patient * sum(m.final and m.told[-1].status != 200 for m in self.moves if m.told) == self._writes:
                return None
            odd = ODD if not self._patient and self.rig.dice.random() < 0.04 else ""
            who = everyone()[200 + self.rig.dice.randrange(CUSTOMERS)]
            self.moves.append(Move(f"{self._name}-{n}", f"{n} {self._name.upper()} STREET{odd}", who))
            return self.moves[-1]

    def send(self, move: Move) -> None:
        body = {"line1": move.mark, "town": "LEEDS", "postcode": "LS1 4DY"}
        self._sent[move.who.id] += 1
        move.told.append(self.rig.send("PUT", f"/v1/customers/{move.who.id}/address", body, {"Idempotency-Key": move.key}))
        headers = move.told[-1].headers or {}
        if move.told[-1].status == 200 and "idempotency-replayed" not in headers:
            self._read(move, self._sent[move.who.id])

    def _read(self, move: Move, sent: int) -> None:
        """A caller's next read shows what it wrote, unless there is, or may be, a later write."""
        seen = self.rig.send("GET", f"/v1/customers/{move.who.id}")
        alone = all(other.final for other in self.moves if other.who.id == move.who.id and other.told) and self._sent[move.who.id] == sent
        if seen.status == 200 and alone and seen.body["data"]["line1"] != move.mark:
            self.unseen.append(f"{move.mark} was written and then not shown: {seen.body}")

    def finish(self) -> None:
        """Every caller asks until it is told, as far as anybody knows; the outbox has done what it can."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not self._told():
            for move in self.moves:
                if not move.final:
                    self.send(move)
            time.sleep(1.0)
        while time.monotonic() < until and not self._carried():
            time.sleep(0.5)

    def _told(self) -> bool:
        """What is unknown and can't be settled stays unknown."""
        return not self.store.unsettled() and all(move.final or move.told[-1].slug == "outcome-unknown" for move in self.moves)

    def _carried(self) -> bool:
        heads: dict[tuple[str, str], Item] = {}
        for item in dual.report(self.store).items:
            heads.setdefault((item.record, item.lacks), item)
        return not self.store.unsettled() and not any(item.state in ("pending", "under way") for item in heads.values())


def journals(rig: Rig) -> dict[str, list[tuple[str, str]]]:
    """Customer and address line of every write that happened, in order, by side."""
    host = rig.estate.host.journal.entries("commit")
    return {
        "legacy": [(e.customer, e.after.line1) for e in host if e.after],
        "modern": [(done.customer, done.address.line1) for done in rig.estate.modern.journal],
    }


def judged(movers: Movers, say: Callable[[str], None]) -> list[str]:
    """What is wrong: nothing, when both journals bear out what callers and the report were told."""
    told = journals(movers.rig)
    have = {side: Counter(line for _, line in told[side]) for side in SIDES}
    items: dict[str, Item] = {}
    for item in dual.report(movers.store).items:
        leg = movers.store.leg(item.reference)
        assert leg is not None
        items[leg.write.key] = item
    wrong, differing = [*movers.unseen], 0
    for move in movers.moves:
        counts, item, last = {side: have[side][move.mark] for side in SIDES}, items.get(move.key), move.told[-1]
        where = f"{move.mark} (told {last.status} {last.slug}; {counts}; {item})"
        differs = counts["legacy"] != counts["modern"]
        differing += differs
        named = item is not None and (item.state == "unknown" or (item.has and counts[item.has] and not counts[item.lacks]))
        checks = {
            "written twice": max(counts.values()) > 1,
            "nobody was told": not move.final and last.slug != "outcome-unknown",
            "a divergence that the report does not name": differs and item is None,
            "an item that is none": item is not None and not named,
            "told done, and no side has it": last.status == 200 and not any(counts.values()),
            "told refused, and a side has it": move.final and last.status != 200 and any(counts.values()),
        }
        wrong += [f"{text}: {where}" for text, bad in checks.items() if bad]
    wrong += _order(movers, told, {move.who.id for move in movers.moves if move.key in items})
    states = Counter(item.state for item in items.values())
    say(f"writes: {len(movers.moves)}; told: {dict(Counter(m.told[-1].slug for m in movers.moves))}; items: {dict(states)}")
    say(f"dual: {len(movers.moves)} writes, {differing} divergences, {'all named' if not wrong else 'NOT AS REPORTED'}")
    return wrong


def _order(movers: Movers, told: dict[str, list[tuple[str, str]]], open_: set[str]) -> list[str]:
    """Where nothing is open, both sides had the same writes in the same order."""
    wrong = []
    for customer in sorted({move.who.id for move in movers.moves} - open_):
        legacy, modern = ([line for who, line in told[side] if who == customer] for side in SIDES)
        wrong += [f"{customer}: not in the same order: {legacy} {modern}"] if legacy != modern else []
    return wrong


@contextmanager
def standing(folder: Path, seed: int, standing: Standing, policy: str = "dual") -> Iterator[tuple[Rig, Store]]:
    """A facade whose customers are on their way."""

    def changed(catalogue: Path) -> None:
        file = catalogue / "endpoints" / "customers.move.yaml"
        file.write_text(file.read_text().replace("writes: dual", f"writes: {policy}"))

    folder.mkdir()
    with Rig(folder, seed=seed, workers=2, change=changed) as rig, closing(Store(rig.served.state, there=True)) as store:
        assert store.move(ENDPOINTS, standing, "chaos", "")
        yield rig, store


def both(folder: Path, writes: int, seed: int, slow: bool, say: Callable[[str], None]) -> list[str]:
    """Half of the customers have legacy as their record and half modern."""
    with standing(folder / "both", seed, Standing("canary", Decimal("0.5"))) as (rig, store):
        movers = Movers(rig, store, "both")
        with Trouble(rig, slow) as trouble:
            movers.run(writes)
        movers.finish()
        say(f"trouble: {dict(trouble.met)}")
        return judged(movers, say)


def back(folder: Path, seed: int, slow: bool, say: Callable[[str], None]) -> list[str]:
    """Modern alone was written; then everything goes back."""
    with standing(folder / "back", seed, Standing("modern"), "modern_only") as (rig, store):
        movers = Movers(rig, store, "back", patient=True)
        with Trouble(rig, slow):
            movers.run(OWED)
        movers.finish()
        early = store.move(ENDPOINTS, Standing("shadow"), "chaos", "", unless_owed=GROUP)
        wrong = judged(movers, lambda line: None) + (["rolled back while legacy lacked writes"] if early else [])
        owed = dual.write_owed(store, GROUP, "anna")
        movers.finish()
        wrong += judged(movers, lambda line: None) + [f"left open: {item}" for item in dual.report(store).items]
        if not store.move(ENDPOINTS, Standing("shadow"), "chaos", "", unless_owed=GROUP):
            wrong.append("the rollback was refused though legacy has everything")
        have = {side: {line for _, line in done} for side, done in journals(rig).items()}
        say(f"rollback: {owed} writes were modern's alone; refused until legacy had them; {len(have['modern'] - have['legacy'])} lost")
        if not owed == len(have["modern"]) >= OWED:
            wrong.append(f"{owed} owed, and modern has {len(have['modern'])}")
        return wrong


def run(folder: Path, writes: int, seed: int, slow: bool = True, say: Callable[[str], None] = print) -> bool:
    say(f"dual: {writes} writes, seed {seed}")
    wrong = both(folder, writes, seed, slow, say) + (back(folder, seed, slow, say) if slow else [])
    for line in wrong[:20]:
        say(f"FAILED: {line}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main("tests.chaos.dual", __doc__, run, writes=200))
