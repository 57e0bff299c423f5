"""The bulkhead under threads: no place is lost, no wake-up is lost, nobody waits beyond his time."""

from __future__ import annotations

import random
import threading
import time

import pytest

from adapters.bulkhead import Bulkhead
from adapters.errors import PoolExhausted


def waiting(gate: Bulkhead, order: list[int], number: int, seconds: float = 5.0) -> threading.Thread:
    """A thread that is in the queue when this returns."""

    def wait() -> None:
        gate.enter(time.monotonic() + seconds)
        order.append(number)
        gate.leave(0.0)

    thread = threading.Thread(target=wait)
    before = len(gate._waiting)
    thread.start()
    until = time.monotonic() + 5
    while len(gate._waiting) == before and time.monotonic() < until:
        time.sleep(0.001)
    return thread


def test_places_go_to_those_who_wait_in_their_order() -> None:
    gate, order = Bulkhead("bank", 1, 5), list[int]()
    gate.enter(time.monotonic())
    threads = [waiting(gate, order, n) for n in range(5)]
    gate.leave(0.0)
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3, 4]
    assert gate.inside == 0


@pytest.mark.parametrize(("places", "to_spare"), [(1, 1), (2, 1), (3, 2), (8, 6)])
def test_the_last_quarter_and_one_at_least_is_kept_from_the_background(places: int, to_spare: int) -> None:
    gate = Bulkhead("bank", places, 1)
    for _ in range(to_spare):
        gate.enter_background()
    with pytest.raises(PoolExhausted, match="none is to spare"):
        gate.enter_background()
    for _ in range(places - to_spare):
        gate.enter(time.monotonic())
    assert gate.inside == places


def test_the_only_place_is_not_to_spare_where_callers_come_for_it() -> None:
    gate = Bulkhead("bank", 1, 1)
    gate.enter(time.monotonic())
    gate.leave(0.01)
    with pytest.raises(PoolExhausted, match="none is to spare"):
        gate.enter_background()
    gate.enter(time.monotonic())


def test_whom_the_queue_has_no_room_for_is_shed_at_once() -> None:
    gate = Bulkhead("bank", 1, 1)
    gate.enter(time.monotonic())
    thread = waiting(gate, [], 0)
    began = time.monotonic()
    with pytest.raises(PoolExhausted, match="queue is full"):
        gate.enter(began + 5)
    assert time.monotonic() - began < 0.5
    gate.leave(0.0)
    thread.join(5)


def test_who_gets_no_place_in_time_is_shed_and_told_when_to_come_again() -> None:
    gate = Bulkhead("bank", 2, 4)
    gate.enter(time.monotonic())
    gate.leave(6.0)
    for _ in range(2):
        gate.enter(time.monotonic())
    began = time.monotonic()
    with pytest.raises(PoolExhausted, match="no place came free") as shed:
        gate.enter(began + 0.1)
    assert 0.1 <= time.monotonic() - began < 1
    assert shed.value.retry_after == 6
    assert not shed.value.spoils


def test_nothing_is_lost_when_time_outs_and_free_places_meet() -> None:
    """Callers whose patience is as long as a place is held: hand-over and time-out race all the time."""
    gate, busy, most, served, shed, late = Bulkhead("bank", 3, 12), 0, 0, 0, 0, 0.0
    count = threading.Lock()

    def caller(seed: int) -> None:
        nonlocal busy, most, served, shed, late
        dice = random.Random(seed)
        for _ in range(60):
            until = time.monotonic() + dice.uniform(0, 0.004)
            try:
                gate.enter(until)
            except PoolExhausted:
                with count:
                    shed, late = shed + 1, max(late, time.monotonic() - until)
                continue
            with count:
                busy, served = busy + 1, served + 1
                most = max(most, busy)
            time.sleep(dice.uniform(0, 0.002))
            with count:
                busy -= 1
            gate.leave(0.001)

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (gate.inside, len(gate._waiting)) == (0, 0)
    assert served + shed == 16 * 60
    assert served
    assert shed
    assert most <= 3
    assert late < 1
    for _ in range(3):  # all places are there
        gate.enter(time.monotonic())
