"""The watchdog acts in time whatever has happened to its process."""

from __future__ import annotations

import os
import threading
import time

import pytest

from adapters import watchdog
from adapters.watchdog import Watchdog
from tests.waiting import until


def test_a_thread_that_could_not_be_started_is_started_by_the_next_alarm() -> None:
    dog, fired = Watchdog(), threading.Event()
    threading.stack_size(1 << 46)  # more than there is
    try:
        with pytest.raises(RuntimeError):
            watchdog.limit(time.monotonic() + 60, fired.set, dog=dog).__enter__()
    finally:
        threading.stack_size(0)
    with watchdog.limit(time.monotonic() + 0.05, fired.set, dog=dog):
        assert fired.wait(2)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_one_of_its_own_even_when_the_fork_came_in_mid_action() -> None:
    busy, go_on = threading.Event(), threading.Event()

    def act() -> None:
        busy.set()
        go_on.wait(5)

    with watchdog.limit(time.monotonic(), act):
        assert busy.wait(2)
        child = os.fork()
        if child == 0:
            fired = threading.Event()
            threading.Thread(target=_limited, args=(fired,), daemon=True).start()
            os._exit(0 if fired.wait(2) else 1)
        go_on.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _limited(fired: threading.Event) -> None:
    with watchdog.limit(time.monotonic() + 0.05, fired.set):
        fired.wait(5)


def test_an_act_that_blocks_delays_no_other_and_holds_up_its_caller_for_a_second_at_most() -> None:
    go_on, fired = threading.Event(), threading.Event()
    began = time.monotonic()
    with watchdog.limit(began, lambda: _wait(go_on)) as stuck, watchdog.limit(began + 0.1, fired.set):
        assert fired.wait(2)
        assert stuck.fired
    assert time.monotonic() - began < 3
    go_on.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watchdog_that_has_died_is_replaced_and_its_alarms_are_not_forgotten() -> None:
    dog, first, second = Watchdog(), threading.Event(), threading.Event()

    class Deadly(float):
        """A time that can't be compared: what the loop meets of it ends the thread."""

        def __le__(self, other: object) -> bool:
            raise SystemExit

    with watchdog.limit(time.monotonic() + 0.3, first.set, dog=dog):
        thread = dog._thread
        assert thread is not None
        with watchdog.limit(Deadly(0.0), first.set, dog=dog):
            thread.join(2)
            assert not thread.is_alive()
        with watchdog.limit(time.monotonic() + 0.05, second.set, dog=dog):
            assert second.wait(2)
        assert first.wait(2)


def test_alarms_that_were_cleared_are_forgotten_and_cost_no_look() -> None:
    dog = Watchdog()
    for _ in range(1000):
        with watchdog.limit(time.monotonic() + 60, lambda: None, dog=dog):
            pass
    assert dog._alarms == set()
    fired = threading.Event()
    with watchdog.limit(time.monotonic() + 60, lambda: None, dog=dog), watchdog.limit(time.monotonic() + 0.05, fired.set, dog=dog):
        assert fired.wait(2)  # an earlier one than any that it waits for wakes it


def test_what_insists_acts_again_until_the_block_ends() -> None:
    times: list[float] = []
    with watchdog.limit(time.monotonic(), lambda: times.append(time.monotonic()), insist=True):
        until(lambda: len(times) == 3)
    assert times[2] - times[0] >= 0.3
    time.sleep(0.35)  # when a fourth would have come
    assert len(times) == 3


def test_a_thousand_blocks_that_end_as_their_deadlines_pass_are_never_acted_upon_afterwards() -> None:
    after: list[int] = []
    over = set[int]()

    def block(number: int) -> None:
        with watchdog.limit(time.monotonic() + number % 7 * 1e-4, lambda: after.append(number) if number in over else None):
            time.sleep(number % 5 * 1e-4)
        over.add(number)

    threads = [threading.Thread(target=lambda first=first: [block(n) for n in range(first, first + 250)]) for first in range(0, 1000, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(over) == 1000
    assert after == []


def test_who_asked_is_told_once_that_it_fired_and_not_when_it_did_not() -> None:
    told: list[None] = []
    with watchdog.limit(time.monotonic() + 60, lambda: None, told=lambda: told.append(None)):
        pass
    assert told == []
    with watchdog.limit(time.monotonic(), lambda: None, insist=True, told=lambda: told.append(None)) as alarm:
        until(lambda: alarm.fired)
    assert len(told) == 1


def _wait(event: threading.Event) -> None:
    event.wait(10)
