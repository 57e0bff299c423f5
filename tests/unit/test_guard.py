"""Guarded: what reaches the back end, what is asked again, and what its callers hear. Time, sleep and dice are handed in."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from adapters.base import Call, Deferred, Record, Ticket
from adapters.breaker import Rule, State
from adapters.errors import (
    AdapterError,
    CircuitOpen,
    Closed,
    DeadlineExceeded,
    ErrorRule,
    Failed,
    Misread,
    Missing,
    OutcomeUnknown,
    PoolExhausted,
    Refused,
    Unavailable,
)
from adapters.guard import Guarded, GuardedDrops, Limits, Own, guarded
from adapters.hours import parse
from tests.unit.small import Scripted
from tests.unit.test_hours import LONDON, at
from wrapper.problems import problem

LIMITS = Limits(3, 3, operations={"get": Own(8.0), "move": Own(8.0)})


@dataclass
class Told:
    """Events that remember."""

    happenings: Counter[tuple[str, str]] = field(default_factory=Counter)
    levels: dict[tuple[str, str], float] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)

    def happened(self, event: str, system: str) -> None:
        self.happenings[event, system] += 1

    def level(self, gauge: str, system: str, value: float) -> None:
        self.levels[gauge, system] = value

    def took(self, what: str, system: str, seconds: float) -> None:
        self.waits.append(seconds)


@dataclass
class Clock:
    """Stands still until somebody sleeps, or a call takes its time."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class World:
    """A back end that answers with the next of `script` (an error, or None for an answer), behind a guard on its own clock."""

    def __init__(self, *script: AdapterError | None, limits: Limits = LIMITS, takes: float = 0.01) -> None:
        self.clock, self.told, self.script, self.takes = Clock(), Told(), list(script), takes
        self.back_end = Scripted(self._answer)
        self.looks: list[float] = []
        self.back_end.probe = self.looks.append  # type: ignore[method-assign]
        self.guard = Guarded(self.back_end, limits, self.told, clock=self.clock, sleep=self.clock.pass_by, dice=lambda: 0.5)

    def _answer(self, call: Call) -> Sequence[Record]:
        self.clock.pass_by(self.takes)
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        return []

    def ask(self, effect: Literal["read", "idempotent", "write"] = "read", left: float = 8.0, operation: str = "get", **more: Any) -> None:
        self.guard.call(Call(operation, None, {}, self.clock.now + left, effect=effect, **more))

    def heard(self, **more: Any) -> AdapterError:
        with pytest.raises(AdapterError) as raised:
            self.ask(**more)
        return raised.value

    @property
    def state(self) -> State:
        return self.guard.breakers().get("scripted", State.CLOSED)


def sick(times: int = 1) -> list[AdapterError]:
    return [DeadlineExceeded("late") for _ in range(times)]


# retries


def test_a_read_that_met_nobody_is_asked_again_twice_at_most_with_a_growing_pause() -> None:
    world = World(*(Unavailable("gone") for _ in range(2)))
    world.ask()
    assert len(world.back_end.calls) == 3
    assert world.told.happenings["retried", "scripted"] == 2
    assert world.clock.now == pytest.approx(1000 + 3 * 0.01 + 0.05 + 0.1)
    world = World(*(Unavailable("gone") for _ in range(9)))
    assert type(world.heard()) is Unavailable
    assert len(world.back_end.calls) == 3


RULED = ErrorRule("busy", {}, 422, retry=True).error("scripted")


@pytest.mark.parametrize(
    ("error", "asked", "call"),
    [
        (Unavailable("gone"), 2, {"effect": "idempotent"}),
        (RULED, 2, {}),
        (Unavailable("gone"), 1, {"effect": "write"}),
        (Unavailable("gone"), 1, {"repeat": False}),
        (RULED, 1, {"effect": "write"}),
        (ErrorRule("no", {}, 503).error("scripted"), 1, {}),
        (PoolExhausted("full"), 1, {}),
        (Closed("region"), 1, {}),
        (DeadlineExceeded("late"), 1, {}),
        (OutcomeUnknown("?"), 1, {"effect": "idempotent"}),
        (Refused("no"), 1, {}),
        (Missing("no"), 1, {}),
        (Misread("drift"), 1, {}),
        (Failed("abend"), 1, {}),
    ],
)
def test_only_what_may_be_asked_twice_and_helps_is(error: AdapterError, asked: int, call: dict[str, Any]) -> None:
    world = World(error)
    if asked == 1:
        assert world.heard(**call) is error
    else:
        world.ask(**call)
    assert len(world.back_end.calls) == asked


def test_it_is_not_asked_again_when_less_is_left_than_it_usually_takes() -> None:
    world = World(takes=3.0)
    world.ask()
    world.script = [Unavailable("gone")]
    world.heard(left=6.0)
    assert len(world.back_end.calls) == 2
    world.script = [Unavailable("gone")]
    world.ask(left=7.0)
    assert len(world.back_end.calls) == 4


# in the background


def test_a_background_call_takes_only_a_place_to_spare_waits_for_none_and_is_nobodys_loss() -> None:
    world = World()
    world.ask(background=True)
    gate = world.guard._any.gates[0]
    gate.inside = 2  # of three
    assert isinstance(world.heard(background=True), PoolExhausted)
    assert (world.clock.now, gate.inside) == (pytest.approx(1000.01), 2)
    assert ("shed", "scripted") not in world.told.happenings
    world.ask()
    assert len(world.back_end.calls) == 2


def test_a_background_call_is_not_repeated_its_failures_count_and_it_is_a_probe_like_any_other() -> None:
    world = World(Unavailable("gone"), *sick(2), takes=1.0)
    for _ in range(3):
        world.heard(background=True)
    assert len(world.back_end.calls) == 3
    assert world.state is State.OPEN
    world.clock.pass_by(5)
    world.ask(background=True)
    assert (len(world.back_end.calls), world.state) == (4, State.CLOSED)


# the breaker


def test_a_system_that_answers_nobody_is_left_alone_then_probed_by_a_read() -> None:
    world = World(*sick(3), takes=1.0)
    for _ in range(3):
        world.heard()
    assert world.told.levels["breaker_state", "scripted"] == State.OPEN
    error = world.heard()
    assert isinstance(error, CircuitOpen)
    assert error.status == 503
    assert error.retry_after == pytest.approx(0.25)
    assert problem(error, "t").headers == {"Retry-After": "1"}
    assert len(world.back_end.calls) == 3
    world.clock.pass_by(0.25)
    world.ask()
    assert world.guard.breakers() == {}
    assert world.told.happenings["breaker_opened", "scripted"] == world.told.happenings["breaker_closed", "scripted"] == 1
    assert world.told.happenings["shed", "scripted"] == 1


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Unavailable("gone"), State.OPEN),
        (DeadlineExceeded("late"), State.OPEN),
        (OutcomeUnknown("?"), State.OPEN),
        (PoolExhausted("full"), State.CLOSED),
        (Closed("region"), State.CLOSED),
        (Failed("abend"), State.CLOSED),
        (Misread("drift"), State.CLOSED),
        (Refused("no"), State.CLOSED),
        (Missing("no"), State.CLOSED),
    ],
)
def test_only_a_back_end_that_is_not_there_opens_it(error: AdapterError, state: State) -> None:
    world = World(*[error] * 12, takes=1.0)
    for _ in range(3):
        world.heard(effect="write")
    assert world.state is state


@pytest.mark.parametrize("kind", [Unavailable, DeadlineExceeded])
def test_what_leaves_the_session_good_opens_the_operations_own_at_most(kind: type[AdapterError]) -> None:
    """A row that somebody else holds, a statement that the database itself ended."""
    said = kind("by the database itself")
    said.spoils = False
    own = {"get": Own(8.0, breaker=Rule(4, 30.0, 10.0)), "move": Own(8.0)}
    world = World(*[said] * 12, takes=1.0, limits=replace(LIMITS, operations=own))
    for operation in ("get", "move") * 4:
        world.heard(operation=operation, repeat=False)
    assert world.guard.breakers() == {"scripted:get": State.OPEN}


def test_callers_with_little_time_left_do_not_open_it() -> None:
    world = World(*sick(9), takes=0.5)
    for _ in range(9):
        world.heard(left=0.5)
    assert world.state is State.CLOSED
    slow = World(takes=2.0)
    slow.ask()
    slow.script = sick(9)
    for _ in range(9):  # more than a second, and less than it takes
        slow.heard(left=2.5)
    assert slow.state is State.CLOSED


def test_an_operation_with_a_short_deadline_opens_it_all_the_same() -> None:
    world = World(*sick(3), takes=0.5, limits=replace(LIMITS, operations={"get": Own(0.5)}))
    for _ in range(3):
        world.heard(left=0.5)
    assert world.state is State.OPEN


def test_a_write_is_no_probe_and_has_the_system_looked_at_when_nobody_reads() -> None:
    world = World(*sick(3), takes=1.0)
    for _ in range(3):
        world.heard()
    world.clock.pass_by(0.3)
    assert isinstance(world.heard(effect="write"), CircuitOpen)
    assert world.looks == []
    world.clock.pass_by(0.3)
    world.ask(effect="write")
    assert len(world.looks) == 1
    assert world.guard.breakers() == {}


def test_a_write_is_shed_when_the_look_finds_nobody() -> None:
    world = World(*sick(3), takes=1.0)

    def nobody(_timeout: float) -> None:
        raise DeadlineExceeded("silent")

    world.back_end.probe = nobody  # type: ignore[method-assign]
    for _ in range(3):
        world.heard()
    world.clock.pass_by(4.0)
    assert isinstance(world.heard(effect="write"), CircuitOpen)
    assert world.state is State.OPEN
    assert len(world.back_end.calls) == 3


def test_an_operations_own_breaker_leaves_the_others_alone_and_counts_failures_too() -> None:
    own = {"get": Own(8.0, breaker=Rule(2, 30.0, 10.0)), "move": Own(8.0)}
    world = World(Failed("abend"), Failed("abend"), limits=replace(LIMITS, operations=own))
    for _ in range(2):
        world.heard()
    assert isinstance(world.heard(), CircuitOpen)
    assert world.guard.breakers() == {"scripted:get": State.OPEN}
    world.ask(operation="move")


def test_a_probe_that_the_systems_breaker_refuses_is_given_back() -> None:
    world = World(*sick(3), takes=1.0, limits=replace(LIMITS, operations={"get": Own(8.0, breaker=Rule(1, 30.0, 1.0)), "move": Own(8.0)}))
    for operation in ("get", "move", "move"):
        world.heard(operation=operation)
    world.clock.pass_by(0.3)  # a write may have a look by the operation's breaker, by the system's not yet
    assert isinstance(world.heard(effect="write"), CircuitOpen)
    world.ask()
    assert world.guard.breakers() == {}


# hours


def test_outside_of_its_hours_nobody_is_asked_and_the_answer_says_when_it_opens() -> None:
    back_end, told, now = Scripted(lambda call: []), Told(), [at("2026-11-26 06:00")]
    guard = Guarded(back_end, replace(LIMITS, hours=parse("07:00-21:30 Mon-Sat", LONDON)), told, now=lambda: now[0])
    for ask in (lambda: guard.call(Call("get", None, {}, time.monotonic() + 5)), lambda: guard.probe(1.0)):
        with pytest.raises(Closed, match="opens at 2026-11-26 07:00 GMT") as closed:
            ask()
        assert closed.value.retry_after == 3600
    assert back_end.calls == []
    assert told.happenings["closed_hours", "scripted"] == 2
    now[0] = at("2026-11-26 21:29")
    guard.call(Call("get", None, {}, time.monotonic() + 120))  # it may end after the closing
    now[0] = at("2026-11-28 21:30")
    with pytest.raises(Closed) as closed:
        guard.call(Call("get", None, {}, time.monotonic() + 5))
    assert closed.value.retry_after == 86400  # the Sunday between is too long to promise
    assert guard.breakers() == {}


# places


@dataclass
class Gate:
    """A back end whose calls stay until they are let go."""

    free: threading.Event = field(default_factory=threading.Event)
    inside: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def answer(self, call: Call) -> Sequence[Record]:
        self.inside.release()
        self.free.wait(10)
        return []


def test_an_operation_with_its_own_concurrency_leaves_places_to_the_others() -> None:
    gate, told = Gate(), Told()
    guard = guarded(Scripted(gate.answer), Limits(3, 1, operations={"get": Own(8.0, places=1)}), told)
    held = threading.Thread(target=guard.call, args=(Call("get", None, {}, time.monotonic() + 9),))
    held.start()
    assert gate.inside.acquire(timeout=5)
    with pytest.raises(PoolExhausted) as shed:
        guard.call(Call("get", None, {}, time.monotonic() + 0.2))
    assert shed.value.status == 503
    assert told.happenings["shed", "scripted"] == 1
    assert told.levels["in_flight", "scripted"] == 1
    other = threading.Thread(target=guard.call, args=(Call("move", None, {}, time.monotonic() + 9),))
    other.start()
    assert gate.inside.acquire(timeout=5)
    gate.free.set()
    held.join(5)
    other.join(5)
    assert told.levels["in_flight", "scripted"] == 0


def test_a_queue_takes_a_quarter_of_what_is_left_and_two_seconds_at_most() -> None:
    gate, told = Gate(), Told()
    guard = guarded(Scripted(gate.answer), Limits(1, 9), told)
    held = threading.Thread(target=guard.call, args=(Call("get", None, {}, time.monotonic() + 9),))
    held.start()
    assert gate.inside.acquire(timeout=5)
    for left, most in ((0.4, 0.1), (60.0, 2.0)):
        with pytest.raises(PoolExhausted):
            guard.call(Call("get", None, {}, time.monotonic() + left))
        assert most * 0.9 < told.waits[-1] < most + 0.5  # of what is left when it has got there
    gate.free.set()
    held.join(5)


def test_whatever_is_raised_every_place_comes_back() -> None:
    def answer(call: Call) -> Sequence[Record]:
        raise ZeroDivisionError if call.effect == "read" else SystemExit

    guard = guarded(Scripted(answer), Limits(1, 1, operations={"get": Own(8.0, places=1)}))
    errors: list[type[BaseException]] = [ZeroDivisionError, SystemExit]
    for effect, error in zip(("read", "write"), errors, strict=True):
        with pytest.raises(error):
            guard.call(Call("get", None, {}, time.monotonic() + 1, effect=effect))  # type: ignore[arg-type]
    assert isinstance(guard, Guarded)
    assert [gate.inside for gate in guard._ways["get"].gates] == [0, 0]


# drops


def test_a_deferred_adapter_stays_one_and_is_guarded_in_all_it_does() -> None:
    back_end, ticket = Scripted(), Ticket("b1", Call("get", None, {}, time.monotonic() + 5))
    guard = guarded(back_end, LIMITS)
    assert isinstance(guard, Deferred)
    guard.submit(ticket, lambda _step: None)
    guard.archive(ticket, time.monotonic() + 5)
    assert guard.collect([ticket], time.monotonic() + 5) == ()
    assert (len(back_end.submitted), back_end.archived) == (1, ["b1"])
    shut = GuardedDrops(back_end, replace(LIMITS, hours=parse("07:00-21:30", LONDON)), now=lambda: at("2026-11-26 06:00"))
    with pytest.raises(Closed):
        shut.submit(ticket, lambda _step: None)
    back_end.replies["b1"] = Missing("no such batch")
    assert shut.collect([ticket], time.monotonic() + 5) == ()
    assert len(list(guard.collect([ticket], time.monotonic() + 5))) == 1


class Plain:
    """An adapter that defers nothing."""

    name = "plain"

    def call(self, call: Call) -> Any: ...

    def probe(self, timeout: float) -> None: ...

    def close(self) -> None: ...


def test_an_adapter_that_is_not_deferred_does_not_become_so() -> None:
    assert not isinstance(guarded(Plain(), LIMITS), Deferred)


def test_it_costs_little(record_property: Callable[[str, object], None]) -> None:
    guard, call = guarded(Plain(), LIMITS), Call("get", None, {}, time.monotonic() + 60)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(2000):
            guard.call(call)
        best = min(best, (time.perf_counter() - began) / 2000)
    record_property("measured", f"a guarded call of an adapter that does nothing: {best * 1e6:.1f} us")
    assert best < 60e-6  # 6 on a quiet machine
