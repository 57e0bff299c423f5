"""Failed logins, by the address that they come from: who has failed too often is refused before anything is hashed, looked up or written.

Counted in memory, by each process for itself, and bounded: of too many addresses the one that has not failed for longest is forgotten.
Who is remembered (known.py) is not asked: behind an address that many share only a first login waits, until failures have become fewer.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections.abc import Callable

from adapters.base import Events
from adapters.events import SILENT
from wrapper.problems import TooMany

FAILURES, WINDOW = 20, 60.0  # so many at once, and so many in so many seconds
MOST = 10_000  # addresses


class LoginLimit:
    """Thread-safe."""

    def __init__(self, events: Events = SILENT, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        self._events, self._clock, self._most = events, clock, most
        self._failed: dict[str, tuple[float, float]] = {}  # failures that still count, as of a time
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        """Before a login from there is tried. Raises TooMany."""
        if not self._failed:
            return
        failures = self._count(_network(address), self._clock())
        if failures > FAILURES - 1:
            self._events.happened("login_refused", "figway")
            wait = math.ceil((failures - FAILURES + 1) * WINDOW / FAILURES)
            raise TooMany("too many logins from your address have failed", headers={"Retry-After": str(max(wait, 1))})

    def failed(self, address: str) -> None:
        """A login from there has failed."""
        network, now = _network(address), self._clock()
        with self._lock:
            failures = self._count(network, now) + 1
            self._failed.pop(network, None)  # the newest is the last
            self._failed[network] = failures, now
            if len(self._failed) > self._most:
                del self._failed[next(iter(self._failed))]

    def _count(self, network: str, now: float) -> float:
        failures, at = self._failed.get(network, (0.0, now))
        return max(failures - (now - at) * FAILURES / WINDOW, 0.0)


def _network(address: str) -> str:
    """An address, of IPv6 its /64: who has one has all of them."""
    try:
        return str(ipaddress.ip_network(f"{address}/64", strict=False)) if ":" in address else address
    except ValueError:
        return address
