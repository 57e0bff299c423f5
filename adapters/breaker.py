"""A circuit breaker: who has failed too often is left alone, and asked again by one call at a time.

    closed --(failures)--> open --(probe_every)--> half-open --(a probe succeeds)--> closed
                            ^                          |
                            `--(a probe fails)---------'

It opens after `open_after` failures within `window` that no success has made up for: each success takes one back, so that a system that
answers most of the time is never cut off, and one that answers nobody is at once. Probes are calls that somebody wants anyway, and never
a write: a write that finds nobody reading for as long again is told to look for itself first (ASK). A probe that never comes
back is forgotten after its time. It knows no clock and no protocol: time is handed in with every call.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum

from adapters.errors import CircuitOpen

SOON = 1.0  # seconds after which to ask again while somebody is probing


class State(IntEnum):
    """As `breaker_state` counts them."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Verdict(Enum):
    """What a call says of the back end: it answered, it is sick, or nothing (it was not really asked)."""

    WELL = "well"
    SICK = "sick"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Rule:
    """`open_after` failures within `window` seconds; a probe every `probe_every`, the first one after `first` where that is given: then
    each time twice as late as before."""

    open_after: int
    window: float
    probe_every: float
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to call, to be given back with a verdict. `number` 0 is nobody's probe; `ask` says to look before the call is made."""

    number: int
    ask: bool = False


FREE = Pass(0)


class Breaker:
    """Thread-safe; a call that finds it closed and ends well takes no lock. `changed` hears of every new state."""

    def __init__(self, name: str, rule: Rule, changed: Callable[[State], None]) -> None:
        self.name, self.state = name, State.CLOSED
        self._rule, self._changed = rule, changed
        self._failures: deque[float] = deque()
        self._pause = self._next = 0.0  # how long it is left alone, and when it may be probed
        self._probe, self._until = 0, 0.0  # the probe that is on its way, and when it is given up
        self._lock = threading.Lock()

    def look(self, now: float) -> None:
        """Raises CircuitOpen when nobody may call now; decides nothing."""
        if self.state is not State.CLOSED and (wait := self._wait(now)) > 0:
            raise self._open(wait)

    def enter(self, now: float, deadline: float, *, write: bool = False) -> Pass:
        """Leave to make a call that ends by `deadline`. Raises CircuitOpen."""
        if self.state is State.CLOSED:
            return FREE
        with self._lock:
            return self._probing(now, deadline, write)

    def leave(self, entered: Pass, verdict: Verdict, now: float) -> None:
        """What came of a call. Of those that began before it opened only their pass is taken back."""
        if entered is FREE and (verdict is Verdict.UNTOLD or (verdict is Verdict.WELL and not self._failures)):
            return
        with self._lock:
            if self.state is State.CLOSED:
                self._count(verdict, now)
            elif entered.number == self._probe and self._until:
                self._until = 0.0
                if verdict is Verdict.WELL:
                    self._failures.clear()
                    self._turn(State.CLOSED)
                elif verdict is Verdict.SICK:
                    self._shut(now)

    def _probing(self, now: float, deadline: float, write: bool) -> Pass:
        if self.state is State.CLOSED:  # meanwhile
            return FREE
        wait = self._wait(now)
        if wait <= 0 and write:
            wait = self._next + self._pause - now  # first those who read
        if wait > 0:
            raise self._open(wait)
        self._probe, self._until = self._probe + 1, deadline + SOON
        self._turn(State.HALF_OPEN)
        return Pass(self._probe, ask=write)

    def _wait(self, now: float) -> float:
        """Seconds until somebody may probe."""
        return max(self._next - now, min(self._until - now, SOON))

    def _count(self, verdict: Verdict, now: float) -> None:
        failures = self._failures
        if verdict is Verdict.SICK:
            failures.append(now)
            while failures[0] < now - self._rule.window:
                failures.popleft()
            if len(failures) >= self._rule.open_after:
                self._shut(now)
        elif verdict is Verdict.WELL and failures:
            failures.popleft()

    def _shut(self, now: float) -> None:
        again = 2 * self._pause if self.state is State.HALF_OPEN else self._rule.first
        self._pause = min(again or self._rule.probe_every, self._rule.probe_every)
        self._next = now + self._pause
        self._turn(State.OPEN)

    def _turn(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._changed(state)

    def _open(self, wait: float) -> CircuitOpen:
        return CircuitOpen(f"{self.name} failed too often a moment ago; it is asked again soon", retry_after=wait)
