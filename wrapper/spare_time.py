"""Time of the processor for what nobody waits for: one thread at a time, and after heavy work a rest.

Threads of a process share one interpreter: whoever reads and compares 15 MB in it holds up all who have callers. So work that was heavy is
followed by a rest of several times its length, in which nobody else of the background works either; what then waits too long is dropped
by who queues it. And of many small pieces so many are left out, by lot, that the others take SHARE of the processor: where there is much
traffic a part of it is evidence enough.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from wrapper.problems import NotReady

WAIT = 5.0  # seconds for a turn
HEAVY = 0.02  # seconds of the processor, from which on work is heavy
REST, LONGEST = 9.0, 10.0  # times its length, and seconds at most
SHARE = 0.02  # of one processor, for each worker
PAUSE = 1.0  # seconds between two pieces, beyond which it makes no difference
_NEWEST = 1 / 32  # of the newest one in what is usual


class SpareTime:
    """A block of work; raises NotReady before it when there is no turn to be had. Thread-safe; not to be entered twice by one thread."""

    def __init__(self, used: Callable[[], float] = time.thread_time, sleep: Callable[[float], None] = time.sleep) -> None:
        self._used, self._sleep = used, sleep
        self._turn, self._began = threading.Lock(), 0.0

    def __enter__(self) -> None:
        if not self._turn.acquire(timeout=WAIT):
            raise NotReady("there is no time to spare to compare answers: those before were too large")
        self._began = self._used()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            took = self._used() - self._began
            if took > HEAVY:
                self._sleep(min(took * REST, LONGEST))
        finally:
            self._turn.release()


class Pace:
    """Which part of the work that comes there is time for. Thread-safe enough: what is lost in a race is one piece of many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, clock()
        self._gap, self._usual = PAUSE, 0.0  # seconds between two pieces, lately, and seconds of the processor that one takes

    def part(self) -> float:
        """Of pieces like the one that has come: 1 when there is time for all of them."""
        last, self._last = self._last, self._clock()
        self._gap += (min(self._last - last, PAUSE) - self._gap) * _NEWEST
        return min(1.0, SHARE * self._gap / self._usual) if self._usual else 1.0

    def took(self, seconds: float) -> None:
        """One piece of work has been done."""
        self._usual += (seconds - self._usual) * _NEWEST if self._usual else seconds
