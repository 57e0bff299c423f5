"""The bound of last resort: one thread per process that acts when a deadline passes.

A library that blocks in C or trickles past its own read time-out can only be ended from outside, by shutting its
socket or killing its process. Each act runs on a thread of its own, so that one that blocks delays no other; it should not block all the
same: shutdown(), kill(), an Event. The watchdog starts on first use, hence after gunicorn's fork, and anew when it has died; a
forked child has its own.

Every call sets an alarm and nearly every one clears it again, so that both must cost next to nothing: alarms lie in a set, adding and
removing is one step each that no other thread sees half done, and who removes an alarm, its caller or the watchdog, has it. The watchdog
looks through all of them when the time of the earliest that it knows of has come, once in a few seconds.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

STUCK = 1.0  # seconds that the end of a block waits for an act that blocks
_ONCE, _INSIST = (0.0,), (0.0, 0.1, 0.2, 0.3)
_NEVER = float("inf")


def nobody() -> None:
    """Whom a fired alarm is told to when nobody asks."""


@dataclass(slots=True, eq=False)
class _Acts:
    """An alarm's acts: `running` is held during one, `over` ends them."""

    running: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)


class Alarm:
    """`fired` is set just before the action runs; a caller reads it to know that its error was the deadline."""

    __slots__ = ("_act", "_acts", "_dog", "_pauses", "_told", "at", "fired")

    def __init__(self, dog: Watchdog, at: float, act: Callable[[], None], pauses: tuple[float, ...], told: Callable[[], None]) -> None:
        self._dog, self.at, self._act, self._pauses, self._told = dog, at, act, pauses, told
        self._acts: _Acts | None = None
        self.fired = False

    def __enter__(self) -> Alarm:
        self._dog.set(self)
        return self

    def __exit__(self, *_: Any) -> None:
        self._dog.clear(self)
        if self.fired:
            self._told()

    def fire(self) -> None:
        """On the watchdog's thread: what clear() finds is there before the alarm is taken from it."""
        self._acts = _Acts()
        if not self._dog.take(self):
            return
        self.fired = True
        try:
            threading.Thread(target=self._go, name="figway-watchdog-act", daemon=True).start()
        except RuntimeError:  # no more threads can be had: then on this one, and the others wait
            self._go()

    def stop(self) -> None:
        """Afterwards no act runs, and none will; only one that blocks is left to itself after STUCK seconds."""
        acts = self._acts
        if acts is not None:
            acts.over.set()
            if acts.running.acquire(timeout=STUCK):
                acts.running.release()

    def _go(self) -> None:
        acts = self._acts
        assert acts is not None
        for pause in self._pauses:
            if pause and acts.over.wait(pause):
                return
            with acts.running:
                if acts.over.is_set():
                    return
                with suppress(Exception):
                    self._act()


class Watchdog:
    """The alarms that are set; see `limit`, which is how adapters use it."""

    def __init__(self) -> None:
        self._alarms: set[Alarm] = set()
        self._wake = threading.Condition(threading.Lock())
        self._next = _NEVER  # when the thread looks by itself
        self._thread: threading.Thread | None = None

    def set(self, alarm: Alarm) -> None:
        """It fires at its time unless it is cleared before. Raises RuntimeError when no thread can be had to watch it."""
        if self._thread is None:
            self._start()
        self._alarms.add(alarm)
        if alarm.at < self._next:
            with self._wake:
                self._wake.notify()

    def clear(self, alarm: Alarm) -> None:
        """Afterwards its action has either run to its end or never will."""
        if not self.take(alarm):
            alarm.stop()

    def take(self, alarm: Alarm) -> bool:
        """Whether it was still there: then it is the taker's now, and nobody else's."""
        try:
            self._alarms.remove(alarm)
        except KeyError:
            return False
        return True

    def _start(self) -> None:
        with self._wake:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name="figway-watchdog", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                self._thread = None  # the next one tries again
                raise

    def _run(self) -> None:
        try:
            while True:
                for alarm in self._due():
                    alarm.fire()
        finally:
            self._thread = None

    def _due(self) -> list[Alarm]:
        """Waits until there are some. `_next` is out of the way while it looks: who comes meanwhile is seen, or wakes it."""
        with self._wake:
            while True:
                self._next = _NEVER
                alarms, now = list(self._alarms), time.monotonic()
                due = [alarm for alarm in alarms if alarm.at <= now]
                if due:
                    return due
                self._next = min((alarm.at for alarm in alarms), default=_NEVER)
                self._wake.wait(None if self._next == _NEVER else self._next - now)


_WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=_WATCHDOG.__init__)  # type: ignore[misc]  # the child has neither the thread nor, perhaps, a free lock


def limit(
    deadline: float, act: Callable[[], None], *, insist: bool = False, told: Callable[[], None] = nobody, dog: Watchdog = _WATCHDOG
) -> Alarm:
    """For a `with`: inside the block, `act` runs once `deadline` (monotonic seconds) passes; after it, never. `insist` runs it again soon
    after, for an act that ends only what goes on at that very moment. `told` hears, after the block, that it ran."""
    return Alarm(dog, deadline, act, _INSIST if insist else _ONCE, told)
