"""A bulkhead: so many calls at once, a queue of so many more, and whoever gets no place in time is sent away.

One stalled system may hold its own places and queue, and no thread beyond them. Places go to those who wait in the order of
their coming, from hand to hand: none is lost when a time-out and a free place meet, and nobody overtakes. A quarter of the places, and
one at least, is kept from those whom nobody waits for, who don't queue either; where there is but one place they get it when no caller has
come for it lately. It knows nothing of calls.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from adapters.base import Events
from adapters.errors import PoolExhausted
from adapters.events import SILENT

MOST = 30.0  # seconds of Retry-After at most
QUIET = 10.0  # seconds without a caller, after which the only place is to spare
_SHARE = 1 / 8  # of the newest call in what a usual one takes


@dataclass(slots=True, eq=False)
class _Waiter:
    """`turn` is held until it is this one's turn."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    has_place: bool = False


class Bulkhead:
    """Thread-safe. Each enter() that returns is followed by one leave()."""

    def __init__(self, name: str, places: int, queue: int, events: Events = SILENT) -> None:
        self.name, self.places, self.queue = name, places, queue
        self.inside = 0
        self._entered = -math.inf  # when a caller last came
        self._waiting: deque[_Waiter] = deque()
        self._usual = 0.0  # seconds that a place is held
        self._events = events
        self._lock = threading.Lock()

    def enter(self, until: float) -> None:
        """A place, at once or by `until` (monotonic seconds). Raises PoolExhausted with an honest retry_after."""
        with self._lock:
            self._entered = time.monotonic()
            if self.inside < self.places:
                self.inside += 1
                self._events.level("in_flight", self.name, self.inside)
                return
            if len(self._waiting) >= self.queue:
                raise self._full("its queue is full")
            waiter = _Waiter()
            waiter.turn.acquire()
            self._waiting.append(waiter)
            self._events.level("queued", self.name, len(self._waiting))
        began = time.monotonic()
        waiter.turn.acquire(timeout=max(until - began, 0))
        self._events.took("queue", self.name, time.monotonic() - began)
        with self._lock:
            if not waiter.has_place:  # and nobody can give it one any more
                self._waiting.remove(waiter)
                self._events.level("queued", self.name, len(self._waiting))
                raise self._full("no place came free in time")

    def enter_background(self) -> None:
        """A place that callers have to spare, now. Raises PoolExhausted."""
        with self._lock:
            spare = self.places - max(self.places // 4, 1) or time.monotonic() - self._entered >= QUIET
            if self.inside >= spare:
                raise self._full("none is to spare")
            self.inside += 1
            self._events.level("in_flight", self.name, self.inside)

    def leave(self, held: float) -> None:
        """The place goes to who has waited longest; it was held for `held` seconds."""
        with self._lock:
            self._usual += (held - self._usual) * _SHARE if self._usual else held
            if self._waiting:
                waiter = self._waiting.popleft()
                waiter.has_place = True
                waiter.turn.release()
                self._events.level("queued", self.name, len(self._waiting))
            else:
                self.inside -= 1
                self._events.level("in_flight", self.name, self.inside)

    def _full(self, why: str) -> PoolExhausted:
        """When those before have had their turn a newcomer may have one."""
        rounds = math.ceil((len(self._waiting) + 1) / self.places)
        error = PoolExhausted(
            f"{self.name} has {self.inside} of {self.places} calls on their way: {why}", retry_after=min(rounds * self._usual, MOST)
        )
        error.spoils = False
        return error
