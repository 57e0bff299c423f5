"""Guarded: the one onion around every adapter. What a call passes, from the outside in:

    hours       outside of them it is Closed, and nobody's fault
    breaker     who has failed too often is left alone: CircuitOpen at once
    bulkhead    the operation's own, then the system's: PoolExhausted for who gets no place in time
    breaker     now for the leave to call, which may be that of the one probe
    the adapter

and around all of it, for what may be asked twice, at most two retries within the deadline. This is the only place that retries.

A background call takes only a place that is to spare and is not retried; sent away it is nobody's loss, and not counted as shed. It may be
the probe: of some systems all calls are such calls.

What a call says of the back end:
    well      an answer, also one that is a refusal, a failure or can't be read: it was there and quick about it
    sick      Unavailable, OutcomeUnknown, and DeadlineExceeded of a call that had time enough
    untold    PoolExhausted, Closed, a deadline that left no time, and what leaves the session good: a row that somebody else holds,
              a statement that the database itself ended; these, and Failed, count for an operation's own breaker only

It knows no HTTP and no metrics. A call that hangs past its deadline is ended by its adapter's own bound (watchdog.py).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from adapters.base import Adapter, Call, Deferred, Events, Reply, Ticket
from adapters.breaker import FREE, Breaker, Pass, Rule, State, Verdict
from adapters.bulkhead import Bulkhead
from adapters.errors import AdapterError, CircuitOpen, Closed, DeadlineExceeded, Failed, OutcomeUnknown, PoolExhausted, Unavailable
from adapters.events import SILENT
from adapters.hours import Hours, Span, span

T = TypeVar("T")
QUEUE = 2.0  # seconds in a queue at most, and
QUEUE_SHARE = 1 / 4  # of what is left of the deadline
RETRIES, PAUSE = 2, 0.05  # seconds before the first retry, give or take half; the second waits twice as long
LOOK = 2.0  # seconds for a look before a write
FAIR = 1.0  # seconds after which a call that was not answered had time enough, unless it usually takes longer
WINDOW, PROBE_EVERY, FIRST_PROBE = 60.0, 2.0, 0.25  # of a system's breaker; many a trouble is over at once
DAY = 86400.0
_SHARE = 1 / 8  # of the newest call in what a usual one takes


@dataclass(frozen=True, slots=True)
class Own:
    """What an operation says of itself."""

    deadline: float
    places: int | None = None
    breaker: Rule | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What this process may do to a system: calls at once, callers waiting, when; and what its operations say of themselves."""

    places: int
    queue: int
    hours: Hours | None = None
    operations: Mapping[str, Own] = field(default_factory=dict)

    @property
    def breaker(self) -> Rule:
        """A stalled system fails only as fast as its places: its first full house opens it."""
        return Rule(min(max(self.places, 2), 5), WINDOW, PROBE_EVERY, FIRST_PROBE)


@dataclass(slots=True, eq=False)
class _Way:
    """What an operation's calls pass, and the seconds that a good one usually takes. The last of `gates` and `breakers` is the system's."""

    gates: tuple[Bulkhead, ...]
    breakers: tuple[Breaker, ...]
    deadline: float = float("inf")
    usual: float = 0.0

    def fair(self) -> float:
        """Seconds after which it is the back end's fault that there is no answer."""
        return min(self.deadline * 0.9, max(FAIR, 2 * self.usual))


class Guarded:
    """See the module. Thread-safe."""

    def __init__(
        self,
        adapter: Adapter,
        limits: Limits,
        events: Events = SILENT,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.name, self._adapter, self._events = adapter.name, adapter, events
        self._clock, self._now, self._sleep, self._dice = clock, now, sleep, dice
        self._hours, self._span = limits.hours, Span(True, 0.0, 0.0)
        gate, breaker = Bulkhead(self.name, limits.places, limits.queue, events), self._breaker(self.name, limits.breaker)
        self._any = _Way((gate,), (breaker,))
        self._ways = {name: self._way(name, own, limits) for name, own in limits.operations.items()}

    def call(self, call: Call) -> Reply:
        """See base.Adapter."""
        way = self._ways.get(call.operation, self._any)
        act, write, background = partial(self._adapter.call, call), call.effect == "write", call.background
        tries = 0
        while True:
            try:
                return self._through(way, act, call.deadline, write, background)
            except AdapterError as error:
                pause = PAUSE * 2**tries * (0.5 + self._dice())
                if tries == RETRIES or not repeatable(call, error) or self._clock() + pause + way.usual >= call.deadline:
                    raise
            tries += 1
            self._events.happened("retried", self.name)
            self._sleep(pause)

    def probe(self, timeout: float) -> None:
        """See base.Adapter; passes the hours only."""
        self._open_now()
        self._adapter.probe(timeout)

    def close(self) -> None:
        self._adapter.close()

    def breakers(self) -> Mapping[str, State]:
        """Those that are not closed: the system's under its own name, an operation's as `system:operation`."""
        all_of_them = {b.name: b for way in (self._any, *self._ways.values()) for b in way.breakers}
        return {name: breaker.state for name, breaker in all_of_them.items() if breaker.state is not State.CLOSED}

    def _way(self, name: str, own: Own, limits: Limits) -> _Way:
        """The operation's own limits before the system's: who waits for the first holds no place of the second."""
        name = f"{self.name}:{name}"
        gates = (Bulkhead(name, own.places, limits.queue),) if own.places else ()
        breakers = (self._breaker(name, own.breaker),) if own.breaker else ()
        return _Way((*gates, *self._any.gates), (*breakers, *self._any.breakers), own.deadline)

    def _breaker(self, name: str, rule: Rule) -> Breaker:
        def changed(state: State) -> None:
            self._events.level("breaker_state", name, state)
            if state is not State.HALF_OPEN:
                self._events.happened("breaker_opened" if state is State.OPEN else "breaker_closed", name)

        self._events.level("breaker_state", name, State.CLOSED)
        return Breaker(name, rule, changed)

    def _open_now(self) -> None:
        """Raises Closed. A call that begins within the hours may end after them."""
        if self._hours is not None and not (now := self._span_now()).open:
            self._events.happened("closed_hours", self.name)
            opens = datetime.fromtimestamp(now.until, self._hours.zone)
            closed = Closed(f"{self.name} opens at {opens:%Y-%m-%d %H:%M %Z}", retry_after=min(now.until - self._now(), DAY))
            closed.spoils = False
            raise closed

    def _span_now(self) -> Span:
        """Open or closed, and until when; worked out anew only when that is over."""
        now = self._now()
        if self._hours is not None and not self._span.since <= now < self._span.until:
            self._span = span(self._hours, now)
        return self._span

    def _through(self, way: _Way, act: Callable[[], T], deadline: float, write: bool, background: bool = False) -> T:
        """One attempt, from the outside in."""
        self._open_now()
        entered = 0
        now = began = self._clock()
        error: BaseException | None = None
        try:
            for breaker in way.breakers:
                breaker.look(now)
            until = now + min(QUEUE, (deadline - now) * QUEUE_SHARE)
            for gate in way.gates:
                if background:
                    gate.enter_background()
                else:
                    gate.enter(until)
                entered += 1
            began = self._clock()
            passes = self._passes(way.breakers, began, deadline, write)
        except BaseException as shed:
            if isinstance(shed, CircuitOpen | PoolExhausted) and not background:
                self._events.happened("shed", self.name)
            self._leave(way.gates[:entered], self._clock() - began)
            raise
        try:
            return act()
        except BaseException as raised:
            error = raised
            raise
        finally:
            now = self._clock()
            self._settle(way, passes, error, now - began, now)
            self._leave(way.gates, now - began)

    def _passes(self, breakers: Sequence[Breaker], now: float, deadline: float, write: bool) -> list[Pass]:
        """Leave to call, from every breaker. A write is nobody's probe: the system is looked at first."""
        passes: list[Pass] = []
        try:
            for breaker in breakers:
                passes.append(breaker.enter(now, deadline, write=write))
        except CircuitOpen:
            _give_back(breakers, passes, Verdict.UNTOLD, now)
            raise
        if write and any(one.ask for one in passes):
            self._look(breakers, passes, deadline)
            passes = [FREE] * len(passes)
        return passes

    def _look(self, breakers: Sequence[Breaker], passes: Sequence[Pass], deadline: float) -> None:
        verdict = Verdict.SICK
        try:
            self._adapter.probe(max(min(deadline - self._clock(), LOOK), 0.1))
            verdict = Verdict.WELL
        except AdapterError:
            pass  # told by the breaker, in its own words
        finally:
            _give_back(breakers, passes, verdict, self._clock())
        for breaker in breakers:
            breaker.look(self._clock())

    def _settle(self, way: _Way, passes: Sequence[Pass], error: BaseException | None, given: float, now: float) -> None:
        if error is None:
            way.usual += (given - way.usual) * _SHARE if way.usual else given
            _give_back(way.breakers, passes, Verdict.WELL, now)
            return
        for breaker, one in zip(way.breakers, passes, strict=True):
            breaker.leave(one, verdict(error, given, way.fair(), own=breaker is not way.breakers[-1]), now)

    def _leave(self, gates: Sequence[Bulkhead], held: float) -> None:
        for gate in gates:
            gate.leave(held)


class GuardedDrops(Guarded):
    """Guarded around an adapter that is Deferred too. Nothing here is retried: the job worker comes again by itself."""

    def __init__(self, adapter: Deferred, limits: Limits, events: Events = SILENT, **passed: Any) -> None:
        super().__init__(adapter, limits, events, **passed)  # type: ignore[arg-type]
        self._drops = adapter

    def submit(self, ticket: Ticket, record: Callable[[str], None]) -> None:
        """See base.Deferred."""
        way = self._ways.get(ticket.call.operation, self._any)
        self._through(way, partial(self._drops.submit, ticket, record), ticket.call.deadline, write=True)

    def collect(self, tickets: Sequence[Ticket], deadline: float) -> Iterable[tuple[Ticket, Reply | AdapterError]]:
        """See base.Deferred. Outside of the hours nobody looks, and nothing is counted: the job worker asks all the time."""
        if not self._span_now().open:
            return ()
        return self._through(self._any, lambda: tuple(self._drops.collect(tickets, deadline)), deadline, write=False)

    def archive(self, ticket: Ticket, deadline: float) -> None:
        """See base.Deferred."""
        self._through(self._any, partial(self._drops.archive, ticket, deadline), deadline, write=False)


def guarded(adapter: Adapter, limits: Limits, events: Events = SILENT) -> Guarded:
    """The adapter under its limits, and Deferred when it is."""
    return GuardedDrops(adapter, limits, events) if isinstance(adapter, Deferred) else Guarded(adapter, limits, events)


def repeatable(call: Call, error: AdapterError) -> bool:
    """Whether the same call may be made again after this."""
    return (
        call.repeat
        and not call.background
        and call.effect != "write"
        and error.retry
        and not isinstance(error, PoolExhausted | CircuitOpen | Closed)
    )


def verdict(error: BaseException, given: float, fair: float, *, own: bool = False) -> Verdict:
    """What `error` says of the back end that was given so many seconds; see the module. `own` is for an operation's own breaker."""
    match error:
        case PoolExhausted() | Closed() | CircuitOpen():
            return Verdict.UNTOLD
        case DeadlineExceeded() if given < fair:
            return Verdict.UNTOLD
        case Unavailable() | DeadlineExceeded() | OutcomeUnknown():
            return Verdict.SICK if own or error.spoils else Verdict.UNTOLD
        case Failed():
            return Verdict.SICK if own else Verdict.WELL
        case AdapterError():
            return Verdict.WELL
    return Verdict.UNTOLD


def _give_back(breakers: Sequence[Breaker], passes: Sequence[Pass], verdict: Verdict, now: float) -> None:
    for breaker, one in zip(breakers, passes, strict=False):
        breaker.leave(one, verdict, now)
