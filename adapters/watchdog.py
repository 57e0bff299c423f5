"""The bound of last resort: one thread per process that acts when a deadline passes.

A library that blocks in C or trickles past its own read time-out can only be ended from outside, by shutting its
socket or killing its process. Each act runs on a thread of its own, so that one that blocks delays no other; it should not block all the
same: shutdown(), kill(), an Event. The watchdog starts on first use, hence after gunicorn's fork, and anew when it has died; a
forked child has its own.
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

STUCK = 1.0  # seconds that clear() waits for an act that blocks


def nobody() -> None:
    """Whom a fired alarm is told to when nobody asks."""


@dataclass(order=True, slots=True)
class Alarm:
    """`fired` is set just before the action runs; a caller reads it to know that its error was the deadline."""

    at: float
    order: int
    act: Callable[[], None] | None = field(compare=False)
    fired: bool = field(default=False, compare=False)
    running: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def go(self) -> None:
        """Act, unless cleared before."""
        with self.running:
            act = self.act
            if act is not None:
                self.fired = True
                with suppress(Exception):
                    act()


class Watchdog:
    """Alarms in a heap; see `limit`, which is how adapters use it."""

    def __init__(self) -> None:
        self._heap: list[Alarm] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def set(self, deadline: float, act: Callable[[], None]) -> Alarm:
        """Run `act` at `deadline` (monotonic seconds) unless cleared before."""
        with self._wake:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="figway-watchdog", daemon=True)
                thread.start()
                self._thread = thread  # not before: it may fail, and then the next one tries again
            alarm = Alarm(deadline, next(self._order), act)
            heapq.heappush(self._heap, alarm)
            if self._heap[0] is alarm:
                self._wake.notify()
        return alarm

    def clear(self, alarm: Alarm) -> None:
        """Afterwards the action has either run to its end or never will; only one that blocks is left to itself after STUCK seconds."""
        over = alarm.running.acquire(timeout=STUCK)
        alarm.act = None
        if over:
            alarm.running.release()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (due := self._due()):
                    self._wake.wait(self._heap[0].at - time.monotonic() if self._heap else None)
            for alarm in due:
                _start(alarm)

    def _due(self) -> list[Alarm]:
        """Whose time has come; those that were cleared are dropped on the way."""
        due = []
        while self._heap and (self._heap[0].act is None or self._heap[0].at <= time.monotonic()):
            alarm = heapq.heappop(self._heap)
            if alarm.act is not None:
                due.append(alarm)
        return due


def _start(alarm: Alarm) -> None:
    try:
        threading.Thread(target=alarm.go, name="figway-watchdog-act", daemon=True).start()
    except RuntimeError:  # no more threads can be had: then on this one, and the others wait
        alarm.go()


_WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=_WATCHDOG.__init__)  # type: ignore[misc]  # the child has neither the thread nor, perhaps, a free lock


@contextmanager
def limit(deadline: float, act: Callable[[], None], *, insist: bool = False, told: Callable[[], None] = nobody) -> Iterator[Alarm]:
    """Inside the block, `act` runs once `deadline` passes; after it, never. `insist` runs it again soon after, for an act that ends
    only what goes on at that very moment. `told` hears, after the block, that it ran."""
    alarms = [_WATCHDOG.set(deadline + late, act) for late in ((0.0, 0.1, 0.3, 0.6) if insist else (0.0,))]
    try:
        yield alarms[0]
    finally:
        for alarm in alarms:
            _WATCHDOG.clear(alarm)
        if alarms[0].fired:
            told()
