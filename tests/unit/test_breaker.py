"""The circuit breaker: when it opens, who may probe, and that nothing keeps it open for ever. Time is a number handed in."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.breaker import FREE, Breaker, Rule, State, Verdict
from adapters.errors import CircuitOpen

RULE = Rule(open_after=3, window=30.0, probe_every=5.0)
SICK, WELL, UNTOLD = Verdict.SICK, Verdict.WELL, Verdict.UNTOLD


def made(rule: Rule = RULE) -> tuple[Breaker, list[State]]:
    states: list[State] = []
    return Breaker("bank", rule, states.append), states


def tell(breaker: Breaker, verdict: Verdict, *times: float) -> None:
    for now in times:
        breaker.leave(breaker.enter(now, now + 8), verdict, now)


def opened() -> tuple[Breaker, list[State]]:
    """Open since second 2."""
    breaker, states = made()
    tell(breaker, SICK, 0, 1, 2)
    assert states == [State.OPEN]
    return breaker, states


def test_it_opens_after_so_many_failures_in_the_window_and_not_before() -> None:
    breaker, states = made()
    tell(breaker, SICK, 0, 1, 31.5, 32)  # the first two are too old by then
    assert states == []
    tell(breaker, SICK, 33)
    assert states == [State.OPEN]
    with pytest.raises(CircuitOpen) as shed:
        breaker.look(34)
    assert shed.value.retry_after == 4


def test_a_system_that_answers_as_often_as_it_fails_is_not_cut_off() -> None:
    breaker, states = made()
    for now in range(20):
        tell(breaker, SICK, now)
        tell(breaker, WELL, now)
    assert states == []


def test_what_says_nothing_counts_for_nothing() -> None:
    breaker, states = made()
    tell(breaker, SICK, 0, 0)
    tell(breaker, UNTOLD, 0, 0, 0, 0)
    assert states == []
    tell(breaker, SICK, 0)
    assert states == [State.OPEN]


def test_one_call_probes_and_the_others_are_told_to_come_soon() -> None:
    breaker, states = opened()
    probe = breaker.enter(7, 15)
    assert states[-1] is State.HALF_OPEN
    for late in (7, 10):
        with pytest.raises(CircuitOpen) as shed:
            breaker.enter(late, 20)
        assert shed.value.retry_after == 1
    breaker.leave(probe, WELL, 10)
    assert states[-1] is State.CLOSED
    assert breaker.enter(10, 20) is FREE


def test_a_probe_that_fails_leaves_it_open_for_as_long_again() -> None:
    breaker, states = opened()
    breaker.leave(breaker.enter(7, 15), SICK, 9)
    assert states == [State.OPEN, State.HALF_OPEN, State.OPEN]
    with pytest.raises(CircuitOpen) as shed:
        breaker.enter(10, 20)
    assert shed.value.retry_after == 4
    assert breaker.enter(14, 20) is not FREE


def test_a_probe_that_was_not_really_asked_leaves_its_place_to_the_next() -> None:
    breaker, states = opened()
    breaker.leave(breaker.enter(7, 15), UNTOLD, 8)
    breaker.leave(breaker.enter(8, 15), WELL, 8)
    assert states[-1] is State.CLOSED


def test_a_probe_that_never_comes_back_is_forgotten_after_its_deadline() -> None:
    breaker, states = opened()
    lost = breaker.enter(7, 15)
    with pytest.raises(CircuitOpen):
        breaker.enter(15.5, 20)
    second = breaker.enter(16, 24)
    breaker.leave(lost, SICK, 17)  # it does come back, and has nothing to say any more
    assert breaker.state is State.HALF_OPEN
    breaker.leave(second, WELL, 18)
    assert states[-1] is State.CLOSED


def test_calls_that_began_before_it_opened_change_nothing() -> None:
    breaker, states = made()
    early, late = breaker.enter(0, 8), breaker.enter(0, 8)
    tell(breaker, SICK, 1, 1, 1)
    breaker.leave(early, WELL, 2)
    breaker.leave(late, SICK, 3)
    assert states == [State.OPEN]
    with pytest.raises(CircuitOpen) as shed:
        breaker.look(3)
    assert shed.value.retry_after == 3


def test_a_write_lets_those_who_read_go_first_and_is_told_to_look_when_nobody_does() -> None:
    breaker, _ = opened()
    with pytest.raises(CircuitOpen) as shed:
        breaker.enter(7, 15, write=True)
    assert shed.value.retry_after == 5
    assert breaker.enter(12, 20, write=True).ask


def test_probes_may_begin_early_and_become_rarer() -> None:
    breaker, states = made(Rule(open_after=1, window=30.0, probe_every=2.0, first=0.5))
    tell(breaker, SICK, 0)
    for now, wait in ((0.5, 1.0), (1.5, 2.0), (3.5, 2.0)):
        breaker.leave(breaker.enter(now, 9), SICK, now)
        with pytest.raises(CircuitOpen) as shed:
            breaker.look(now)
        assert shed.value.retry_after == wait
    breaker.leave(breaker.enter(5.5, 9), WELL, 5.5)
    tell(breaker, SICK, 6)
    assert states[-1] is State.OPEN
    breaker.enter(6.5, 9)


def test_of_many_threads_at_once_one_probes() -> None:
    breaker, _ = opened()
    together = threading.Barrier(16)

    def enter(_: int) -> bool:
        together.wait(5)
        try:
            breaker.enter(7, 15)
        except CircuitOpen:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(enter, range(16))) == 1


def test_closing_starts_a_new_count() -> None:
    breaker, states = opened()
    breaker.leave(breaker.enter(7, 15), WELL, 7)
    tell(breaker, SICK, 8, 8)
    assert states[-1] is State.CLOSED
