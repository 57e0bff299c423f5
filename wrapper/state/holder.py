"""This process's side of leases: what it holds, kept alive by one thread, and lost here before anybody else can have it.

The thread starts with the first name that is held, hence after gunicorn's fork. Times are the host's steady ones, which go on while a
process is stopped: one that sleeps past its lease finds it gone. A name counts from before the store was asked, and ends a margin early.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from adapters.errors import PoolExhausted
from wrapper import log
from wrapper.problems import NotReady
from wrapper.state.clock import Clock, me
from wrapper.state.leases import LeaseTable, wanted

T = TypeVar("T")
TTL = 15.0  # seconds that a name stays taken after its holder has died on another host; here it is free at once
RENEW = 2.5
POLL = 0.25


@dataclass(slots=True)
class _Held:
    fence: int
    since: float
    ends: float


class Holder:
    """See adapters.base.Leases. Thread-safe. When the store can't be asked, nothing is taken: PoolExhausted."""

    def __init__(self, table: LeaseTable, who: str = "", clock: Clock | None = None, ttl: float = TTL) -> None:
        self._table, self._who, self._clock, self._ttl = table, who or me(), clock or Clock(), ttl
        self._margin = ttl / 30
        self._held: dict[str, _Held] = {}
        self._bars: set[str] = set()  # not yet in the store
        self._owed: set[str] = set()  # given back here, and not yet in the store
        self._away = False
        self._wanted: frozenset[str] = frozenset()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def take(self, names: Sequence[str], holding: int = 0) -> str | None:
        """See base.Leases. Raises PoolExhausted when the store can't be asked."""
        began = self._clock.steady()
        asked = [name for name in names if name not in self._bars]
        holding = max(holding, sum(name in self._held for name in names))
        try:
            taken = self._ask(lambda: self._table.take_lease(asked, self._who, holding, self._ttl))
        except NotReady as error:
            raise _no_lease(error) from error
        if taken is None:
            return None
        name, fence = taken
        with self._change:
            self._owed.discard(name)  # what was owed was an earlier one, lost since
            self._held[name] = _Held(fence, began, began + self._ttl - self._margin)
            self._wanted -= {name}
            self._work()
        return name

    def holds(self, name: str, until: float) -> bool:
        """See base.Leases; it asks the store only when the call would outlast the lease."""
        needed = until - time.monotonic()
        with self._change:
            held = self._held.get(name)
        if held is None or name in self._owed:
            return False
        now = self._clock.steady()
        if now < held.ends < now + needed:
            with suppress(NotReady):
                self._ask(lambda: self._renew({name: held}, needed + 2 * self._margin))
        return self._held.get(name) is held and held.ends > self._clock.steady() + max(until - time.monotonic(), 0.0)

    def wanted(self, name: str) -> bool:
        return name in self._wanted

    def give(self, name: str) -> None:
        """See base.Leases. While the store has not heard of a bar it is kept: nobody may have it who does not know."""
        with self._change:
            if name not in self._held:
                return
            self._owed.add(name)
        with suppress(NotReady):  # then the thread does it, or it ends by itself
            self._ask(self._settle)

    def bar(self, name: str) -> None:
        with self._change:
            self._bars.add(name)
            self._work()
        with suppress(NotReady):
            self._ask(self._settle)

    def barred(self, name: str) -> bool:
        """See base.Leases. Raises PoolExhausted when the store can't be asked."""
        try:
            return name in self._bars or self._ask(lambda: self._table.lease_barred(name))
        except NotReady as error:
            raise _no_lease(error) from error

    def close(self) -> None:
        """Give everything back."""
        with self._change:
            self._closed = True
            self._change.notify_all()
            names, thread = list(self._held), self._thread
        if thread is not None:
            thread.join(4)
        for name in names:
            self.give(name)

    def _ask(self, act: Callable[[], T]) -> T:
        """Callers have deadlines of their own: once the store was seen to be away, only the thread waits for it."""
        if self._away:
            raise NotReady("the state store does not answer")
        try:
            return act()
        except NotReady:
            with self._change:
                self._away = True
                self._work()
            raise

    def _work(self) -> None:
        if self._thread is None and not self._closed:
            thread = threading.Thread(target=self._run, name="figway-leases", daemon=True)
            with suppress(RuntimeError):  # no thread to be had: who comes next tries again
                thread.start()
                self._thread = thread
        self._change.notify_all()

    def _run(self) -> None:
        due = 0.0
        while True:
            with self._change:
                while not (self._held or self._bars or self._away or self._closed):
                    self._change.wait()
                self._change.wait_for(lambda: self._closed, POLL)
                if self._closed:
                    return
                held = dict(self._held)
            try:
                self._settle()
                if self._clock.steady() >= due:
                    self._renew(held, self._ttl)
                    due = self._clock.steady() + min(RENEW, self._ttl / 3)
                self._look(held)
                self._away = False
            except NotReady:
                self._away, self._wanted = True, frozenset()
            except Exception as error:  # noqa: BLE001 - what is held depends on this thread
                log.get().error("leases", outcome=type(error).__name__, exc_info=True)

    def _settle(self) -> None:
        """What the store has not heard of yet: bars, and only then what had been given back before these were looked at. Several do this at
        once, and a name may have been taken again meanwhile, or given back again: that is another taking, and no debt of this one."""
        with self._change:
            owed = {name: self._held.get(name) for name in self._owed}
        for name in list(self._bars):
            self._table.bar_lease(name)
            self._bars.discard(name)
        for name, held in owed.items():
            if held is not None:
                self._table.give_lease(name, self._who, held.fence)
            with self._change:
                if self._held.get(name) is held:
                    self._owed.discard(name)
                    self._held.pop(name, None)

    def _renew(self, asked: dict[str, _Held], seconds: float) -> None:
        """Longer, never shorter. What is not ours any more, or has ended here, is dropped and never comes back."""
        began = self._clock.steady()
        alive = {name: held for name, held in asked.items() if began < held.ends}
        kept = self._table.renew_leases({name: held.fence for name, held in alive.items()}, self._who, seconds) if alive else frozenset()
        with self._change:
            for name, held in asked.items():
                if self._held.get(name) is not held:
                    continue  # given back meanwhile
                if name in kept and self._clock.steady() < held.ends:
                    held.ends = max(held.ends, began + seconds - self._margin)
                else:
                    del self._held[name]
                    log.get().warning("leases", outcome="lost", name=name)

    def _look(self, held: dict[str, _Held]) -> None:
        """Who waits for what we hold."""
        leases, waiters = self._table.leases()
        ours = wanted(self._who, leases.values(), waiters) if waiters else frozenset()
        self._wanted = ours & held.keys()


def _no_lease(error: NotReady) -> PoolExhausted:
    """Nothing is wrong with the back end, and sessions that are open go on."""
    said = PoolExhausted(f"no further session can be opened now: {error.detail}")
    said.title = "The facade can't lease what a session needs"
    return said
