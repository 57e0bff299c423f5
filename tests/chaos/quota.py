"""`make quota`: four workers, twenty clients, one limit, on each kind of store; a worker killed, and the store away, in the middle.

Counted by the clients: what was granted is never more than the rate times the time and one burst, and within 2 % of what one bucket for all
would have granted to the same requests: a machine that is busy with something else asks less. An answer is kept in the cache, so that it
is the limit that ends a request and no back end. While the store is away each worker goes by its share: a worker with few clients leaves
some of it, and one more burst may be granted each time that the store goes or comes back.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from fixtures.faults import Fault
from tests.chaos.rig import CALLER, Rig
from tests.chaos.script import main
from tests.crowd import Crowd
from wrapper.access import Rate, rate

WORKERS, CLIENTS = 4, 20
ASKED = 2.0  # times the limit, and
LEAST = 100.0  # a second
OFF = 0.02
LIMITS = "500/s,50/s,5/s"


class Asking(Crowd):
    """Clients that each keep a connection and ask at a steady pace; `seen` is when each was answered, and how; 0 is not at all."""

    def __init__(self, rig: Rig, per_second: float) -> None:
        key, who = rig.served.keys[CALLER.name], rig.customers[0].id
        self._address, self._pause = rig.served.address, CLIENTS / per_second
        self._request = f"GET /v1/direct/{who}/accounts HTTP/1.1\r\nHost: f\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        self.seen: list[tuple[float, int]] = []
        super().__init__(CLIENTS)

    def _run(self, number: int) -> None:
        due = time.monotonic() + number * self._pause / CLIENTS
        while not self._stop.is_set():
            try:
                with socket.create_connection(self._address, 10) as line:
                    while not self._stop.wait(max(due - time.monotonic(), 0)):
                        due = max(due + self._pause, time.monotonic() - 1)
                        status = self._ask(line)
                        self.seen.append((time.monotonic(), status))
            except (OSError, ValueError):
                self.seen.append((time.monotonic(), 0))

    def _ask(self, line: socket.socket) -> int:
        line.sendall(self._request)
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + _length(answer[:end]):
            if not (piece := line.recv(65536)):
                raise ConnectionResetError
            answer += piece
        return int(answer[9:12])


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


def _ideal(quota: Rate, asked: list[float]) -> int:
    """What one bucket would have granted of these requests."""
    level, at, granted = quota.burst, asked[0], 0
    for now in asked:
        level, at = min(quota.burst, level + (now - at) * quota.amount / quota.period), now
        granted += level >= 1
        level -= level >= 1
    return granted


def _limited(limit: str, catalogue: Path) -> None:
    """The pass-through, cached, and a quota for everybody."""
    (catalogue / "access.yaml").write_text(f'quotas: {{"*": {{rate: {limit}}}}}\n')
    file = catalogue / "endpoints" / "accounts.direct.yaml"
    file.write_text(file.read_text().replace("limits: {deadline: 2s}", "limits: {deadline: 2s, cache: {ttl: 1h}}"))


def _nothing(rig: Rig, seconds: float) -> None:
    time.sleep(seconds)


def _killed(rig: Rig, seconds: float) -> None:
    time.sleep(seconds / 2)
    os.kill(rig.workers()[0], signal.SIGKILL)
    time.sleep(seconds / 2)


def _away(rig: Rig, seconds: float) -> None:
    """For the middle third."""
    time.sleep(seconds / 3)
    with _gone(rig):
        time.sleep(seconds / 3)
    time.sleep(seconds / 3)


@contextmanager
def _gone(rig: Rig) -> Iterator[None]:
    if "store" in rig.proxies:
        rig.proxies["store"].set(Fault(refuse=True))
        yield
        rig.proxies["store"].clear()
        return
    with closing(sqlite3.connect(rig.served.state.removeprefix("sqlite:///"), isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def measured(
    folder: Path, limit: str, seconds: float, seed: int, happens: Callable[[Rig, float], None], store: str, say: Callable[[str], None]
) -> list[str]:
    """One limit under one event; what was wrong."""
    quota = rate(limit)
    per_second = quota.amount / quota.period
    with Rig(folder, seed=seed, workers=WORKERS, threads=32, postgres_store=store == "postgresql", change=partial(_limited, limit)) as rig:
        asking = Asking(rig, max(ASKED * per_second, LEAST))
        began = time.monotonic()
        with asking:
            happens(rig, seconds)
        took = time.monotonic() - began
    met = Counter(status for _, status in asking.seen)
    granted, brought, ideal = met[200], per_second * took, _ideal(quota, sorted(at for at, _ in asking.seen))
    others = {status: n for status, n in met.items() if status not in (200, 429)}
    what = happens.__name__.strip("_")
    say(
        f"{store:<10} {limit:>6} {what:<8} {took:5.1f} s: asked {met.total()}, granted {granted}{f', other {others}' if others else ''};"
        f" one bucket {ideal} ({granted / ideal - 1:+.2%}), the rate {brought:.0f} ({granted / brought - 1:+.2%}), burst {quota.burst:.0f}"
    )
    away = happens is _away
    least = ideal * (0.6 if away else 1 - OFF) - per_second * 0.25  # what is in the bucket when the clients stop
    most = brought + quota.burst * (3 if away else 1)
    wrong = [] if least <= granted <= most else [f"{granted} granted, expected {least:.0f} to {most:.0f}"]
    if others.keys() - {0} or others.get(0, 0) > CLIENTS * (happens is _killed):
        wrong.append(f"met {others}")
    return wrong


def run(
    folder: Path,
    seed: int,
    seconds: float = 60.0,
    limits: str = LIMITS,
    stores: str = "sqlite,postgresql",
    events: str = "nothing,killed,away",
    say: Callable[[str], None] = print,
) -> bool:
    happening = {"nothing": _nothing, "killed": _killed, "away": _away}
    wrong: list[str] = []
    for store in stores.split(","):
        for limit in limits.split(","):
            for event in events.split(","):
                place = folder / f"{store}-{limit.replace('/', '-')}-{event}"
                place.mkdir()
                found = measured(place, limit, seconds, seed, happening[event], store, say)
                wrong += [f"{store}, {limit}, {event}: {one}" for one in found]
                shutil.rmtree(place, ignore_errors=True)
    for line in wrong:
        say(f"FAILED: {line}")
    say(f"quota: {'as promised' if not wrong else 'not as promised'}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main("tests.chaos.quota", __doc__, run, seconds=60.0, limits=LIMITS, stores="sqlite,postgresql", events="nothing,killed,away"))
