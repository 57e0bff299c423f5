"""`make soak`: random faults on every protocol at once and 32 clients, every value checked against the truth.

Wrong answers and hung requests must be none; memory has no slope after the warm-up; threads, descriptors, children and zombies come back
to the baseline. Writes are checked against the back ends' own journals: an address or a payment happens once or is reported unknown.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.customers import Customer
from fixtures.faults import Fault
from tests.chaos.jobs import pay
from tests.chaos.processes import Counts
from tests.chaos.rig import DEADLINE, GRACE, Rig, Seen
from tests.chaos.rows import leaked
from tests.chaos.script import main
from tests.chaos.table import HEALTHY, warm

CLIENTS = 32
THREADS = 32  # of each worker: their pools are filled by faults, not by the warm-up
SLOPE = 0.05  # of the mean
FAULTS: tuple[Callable[[random.Random], Fault], ...] = (
    lambda dice: Fault(refuse=True),
    lambda dice: Fault(mute=dice.randrange(300)),
    lambda dice: Fault(trickle=dice.uniform(20, 400)),
    lambda dice: Fault(cut=dice.randrange(400)),
    lambda dice: Fault(cut=dice.randrange(400), reset=True),
    lambda dice: Fault(garbage=True),
    lambda dice: Fault(latency=dice.uniform(0, 0.2)),
)
SWITCHES = ("broadcast", "abend", "try_later", "stale", "stale_first", "wrong_screen")


@dataclass(slots=True)
class Tally:
    """What 32 clients met."""

    classes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    addresses: dict[str, tuple[str, str]] = field(default_factory=dict)  # line1 -> (customer, what its caller was told)
    payments: dict[str, str] = field(default_factory=dict)  # batch -> location
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, seen: Seen) -> None:
        with self.lock:
            self.classes[seen.slug] += 1
            if seen.slug == "wrong":
                self.wrong.append(f"{name}: {seen.body}"[:300])
            if seen.late:
                self.late.append(f"{name}: {seen.status} {seen.slug} after {seen.seconds:.1f} s")


class Soak:
    """One soak on one rig."""

    def __init__(self, rig: Rig, seconds: float, seed: int) -> None:
        self._rig, self._seconds, self._seed = rig, seconds, seed
        self._stop = threading.Event()
        self.tally, self.samples = Tally(), list[tuple[float, Counts]]()

    def run(self) -> None:
        work = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(CLIENTS)]
        work.append(threading.Thread(target=self._trouble, daemon=True))
        for thread in work:
            thread.start()
        began = time.monotonic()
        while (at := time.monotonic() - began) < self._seconds:
            self.samples.append((at, self._rig.counts()))
            time.sleep(min(2.0, self._seconds / 20))
        self._stop.set()
        for thread in work:
            thread.join(DEADLINE + 20)
            if thread.is_alive():
                self.tally.late.append("a client hangs")
        for proxy in self._rig.proxies.values():
            proxy.clear()

    def _client(self, number: int) -> None:
        dice = random.Random(self._seed * 1000 + number)
        own = self._rig.customers[-1 - number]  # nobody else's: its address is only changed here
        readable = self._rig.customers[: -1 - CLIENTS]
        while not self._stop.is_set():
            luck = dice.random()
            if luck < 0.06:
                self._move(own, dice)
            elif luck < 0.10:
                self._pay()
            else:
                name = dice.choice(HEALTHY)
                self.tally.note(name, self._rig.ask(name, dice.choice(readable)))

    def _move(self, who: Customer, dice: random.Random) -> None:
        line1 = f"{dice.getrandbits(48)} SOAK ST"
        key = {"Idempotency-Key": f"soak-{line1.partition(' ')[0]}"}
        seen = self._rig.send("PUT", f"/v1/customers/{who.id}/address", {"line1": line1, "town": "LEEDS", "postcode": "LS1 4DY"}, key)
        right = seen.status != 200 or seen.body["data"]["line1"] == line1
        self.tally.note("customers.move", seen if right else Seen(200, "wrong", seen.seconds, seen.body))
        with self.tally.lock:
            self.tally.addresses[line1] = (who.id, seen.slug)

    def _pay(self) -> None:
        seen = pay(self._rig)
        self.tally.note("payments.create", seen)
        if seen.status == 202 and seen.headers:
            with self.tally.lock:
                self.tally.payments[seen.headers["location"].rpartition("/")[2]] = seen.headers["location"]

    def _trouble(self) -> None:
        dice, rig = random.Random(self._seed), self._rig
        while not self._stop.is_set():
            proxy = rig.proxies[dice.choice(list(rig.proxies))]
            match dice.randrange(10):
                case 0:
                    setattr(rig.estate.host.switches, dice.choice(SWITCHES), dice.randrange(1, 4))
                case 1:
                    with suppress(ProcessLookupError, IndexError):
                        os.kill(dice.choice(rig.terminals()), dice.choice((signal.SIGKILL, signal.SIGSTOP)))
                case _:
                    proxy.set(dice.choice(FAULTS)(dice))
                    self._stop.wait(dice.uniform(0.05, 0.6))
                    proxy.clear()
            self._stop.wait(dice.uniform(0.02, 0.3))

    # -- the back ends' own word

    def writes(self) -> str:
        """What the journals say against what callers were told: '' or what is wrong."""
        made = Counter(e.after.line1 for e in self._rig.estate.host.journal.entries("commit") if e.after)
        for line1, (_, slug) in self.tally.addresses.items():
            times = made[line1]
            told = {"answer": (1,), "outcome-unknown": (0, 1), "lost": (0, 1), "not-ready": (0, 1)}.get(slug, (0,))
            if times not in told:
                return f"an address that was told as {slug} was written {times} times"
        journal = self._rig.estate.drop.batch.journal
        paid = Counter(p.batch for p in journal.payments)
        return next((f"batch {batch} was paid {paid[batch]} times" for batch in self.tally.payments if paid[batch] > 1), "")


def slope(samples: Sequence[tuple[float, Counts]], name: str) -> tuple[float, float]:
    """Least squares after the first third: the rise over the rest of the soak, and the mean."""
    later = [(at, getattr(counts, name)) for at, counts in samples[len(samples) // 3 :]]
    mean_at, mean = (sum(v[n] for v in later) / len(later) for n in (0, 1))
    spread = sum((at - mean_at) ** 2 for at, _ in later) or 1.0
    rise = sum((at - mean_at) * (value - mean) for at, value in later) / spread
    return rise * (later[-1][0] - later[0][0]), mean


def run(folder: Path, seconds: float, seed: int, say: Callable[[str], None] = print) -> bool:
    """Whether it was survived; prints what was met."""
    say(f"soak: {seconds:.0f} s, {CLIENTS} clients, seed {seed}")
    with Rig(folder, seed=seed, threads=THREADS) as rig:
        base = warm(rig)
        soak = Soak(rig, seconds, seed)
        soak.run()
        well = rig.well(HEALTHY, 40)
        grown = leaked(rig, base, 20, threads=THREADS * 2)
        wrong = _verdict(soak, well, grown, seconds)
        _told(soak, base, rig.counts(), say)
    for line in wrong:
        say(f"FAILED: {line}")
    say(f"soak: {'survived' if not wrong else 'not survived'}")
    return not wrong


def _verdict(soak: Soak, well: str, grown: str, seconds: float) -> list[str]:
    wrong = [*soak.tally.wrong[:5], *soak.tally.late[:5]]
    wrong += [f"afterwards: {well}"] if well else []
    wrong += [f"leaked: {grown}"] if grown else []
    for name in ("memory", "threads", "descriptors") if seconds >= 120 else ():
        rise, mean = slope(soak.samples, name)
        wrong += [f"{name} rise: {rise:+.0f} over {mean:.0f}"] if rise > SLOPE * mean else []
    told = soak.writes()
    return [*wrong, told] if told else wrong


def _told(soak: Soak, base: Counts, now: Counts, say: Callable[[str], None]) -> None:
    tally, (rise, mean) = soak.tally, slope(soak.samples, "memory")
    say(f"answers: {sum(tally.classes.values())}; " + ", ".join(f"{n} {slug}" for slug, n in tally.classes.most_common()))
    say(f"wrong answers: {len(tally.wrong)}; hung requests (over {DEADLINE + GRACE:.0f} s): {len(tally.late)}")
    say(f"writes: {len(tally.addresses)} addresses, {len(tally.payments)} payments taken")
    say(f"memory: {mean / 1024:.0f} MiB PSS in all, {rise / 1024:+.1f} MiB after the first third")
    say(f"baseline: {base}")
    say(f"after:    {now}")


if __name__ == "__main__":
    sys.exit(main("tests.chaos.soak", __doc__, run, seconds=300.0))
