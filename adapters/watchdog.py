"""The bound of last resort: one thread per process that acts when a deadline passes.

A library that blocks in C or trickles past its own read time-out can only be ended from outside, by shutting its
socket or killing its process. The action runs on the watchdog's thread, so it must not block: shutdown(), kill(), an Event.
The thread starts on first use, hence after gunicorn's fork; a forked child starts its own.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class Alarm:
    """`fired` is set just before the action runs; a caller reads it to know that its error was the deadline."""

    at: float
    order: int
    act: Callable[[], None] | None = field(compare=False)
    fired: bool = field(default=False, compare=False)


class Watchdog:
    """Alarms in a heap; see `limit`, which is how adapters use it."""

    def __init__(self) -> None:
        self._heap: list[Alarm] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._running = False

    def set(self, deadline: float, act: Callable[[], None]) -> Alarm:
        """Run `act` at `deadline` (monotonic seconds) unless cleared before."""
        with self._wake:
            if not self._running:
                threading.Thread(target=self._run, name="figway-watchdog", daemon=True).start()
                self._running = True  # not before: it may fail, and then the next one tries again
            alarm = Alarm(deadline, next(self._order), act)
            heapq.heappush(self._heap, alarm)
            if self._heap[0] is alarm:
                self._wake.notify()
        return alarm

    def clear(self, alarm: Alarm) -> None:
        """Afterwards the action has either run to its end or never will: it runs under the same lock."""
        with self._wake:
            alarm.act = None

    def _run(self) -> None:
        with self._wake:
            while True:
                while self._heap and (self._heap[0].act is None or self._heap[0].at <= time.monotonic()):
                    alarm = heapq.heappop(self._heap)
                    if alarm.act is not None:
                        alarm.fired = True
                        with suppress(Exception):
                            alarm.act()
                self._wake.wait(self._heap[0].at - time.monotonic() if self._heap else None)


_WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=_WATCHDOG.__init__)  # type: ignore[misc]  # the child has neither the thread nor, perhaps, a free lock


@contextmanager
def limit(deadline: float, act: Callable[[], None], *, insist: bool = False) -> Iterator[Alarm]:
    """Inside the block, `act` runs once `deadline` passes; after it, never. `insist` runs it again soon after, for an act that ends
    only what goes on at that very moment."""
    alarms = [_WATCHDOG.set(deadline + late, act) for late in ((0.0, 0.1, 0.3, 0.6) if insist else (0.0,))]
    try:
        yield alarms[0]
    finally:
        for alarm in alarms:
            _WATCHDOG.clear(alarm)
