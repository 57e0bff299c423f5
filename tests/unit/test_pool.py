"""The pool: bounded, and patient where a session may come free."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from adapters.errors import DeadlineExceeded, PoolExhausted
from adapters.pool import Pool
from tests.waiting import until


def pool(may_open: int, size: int = 3) -> Pool[int]:
    """A pool whose back end admits only `may_open` sessions."""
    made: list[int] = []

    def open(_deadline: float) -> int:
        if len(made) == may_open:
            raise PoolExhausted("the rest is held elsewhere")
        made.append(len(made))
        return made[-1]

    return Pool("host", open, lambda _session: None, size=size)


class Waiting:
    """How many callers wait for a session now."""

    now = 0.0

    def happened(self, event: str, system: str) -> None:
        pass

    def level(self, gauge: str, system: str, value: float) -> None:
        if gauge == "sessions_waiting":
            self.now = value

    def took(self, what: str, system: str, seconds: float) -> None:
        pass


def test_a_caller_waits_for_a_session_when_no_more_can_be_opened() -> None:
    one = pool(may_open=1)
    with one.lease(time.monotonic() + 1) as session:
        got: list[int] = []
        waiting = threading.Thread(target=lambda: got.append(_use(one)))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join(2)
    assert got == [session]


def test_the_background_takes_what_is_idle_or_to_be_had_without_asking_and_waits_for_nothing() -> None:
    opened = list[str]()
    one = Pool[str]("host", lambda _: "needed", lambda _session: None, size=1, warm=lambda _: opened.append("warm") or "warm")
    for _ in range(2):
        with one.lease(time.monotonic() + 1, background=True) as session:
            assert (session, opened) == ("warm", ["warm"])
    with one.lease(time.monotonic() + 1):
        began = time.monotonic()
        with pytest.raises(PoolExhausted), one.lease(began + 5, background=True):
            pass
        assert time.monotonic() - began < 0.5


def test_the_background_is_not_told_to_wait_for_what_others_hold() -> None:
    began = time.monotonic()
    with pytest.raises(PoolExhausted, match="held elsewhere"), pool(may_open=0).lease(began + 5, background=True):
        pass
    assert time.monotonic() - began < 0.5


def test_it_is_exhausted_at_the_deadline_not_before() -> None:
    one = pool(may_open=1)
    with one.lease(time.monotonic() + 1):
        began = time.monotonic()
        with pytest.raises(PoolExhausted), one.lease(began + 0.2):
            pass
        assert 0.2 <= time.monotonic() - began < 0.5


def test_what_is_held_elsewhere_is_waited_for() -> None:
    may_open = [0]

    def open(_deadline: float) -> int:
        if not may_open:
            return 7
        raise PoolExhausted("held elsewhere")

    one = Pool[int]("host", open, lambda _session: None, size=1)
    with pytest.raises(PoolExhausted, match="held elsewhere"), one.lease(time.monotonic() + 0.2):
        pass
    threading.Timer(0.2, may_open.clear).start()
    assert _use(one) == 7


def test_a_look_at_a_kept_session_that_fails_costs_no_place() -> None:
    def look(_session: int, _idle: float) -> bool:
        raise OSError

    one = Pool[int]("host", lambda _deadline: 1, lambda _session: None, size=1, fit=look)
    _use(one)
    with pytest.raises(OSError):
        _use(one)
    assert _use(one) == 1


def test_looking_at_many_kept_sessions_ends_with_the_deadline() -> None:
    def slowly_no(_session: int, _idle: float) -> bool:
        time.sleep(0.1)
        return False

    one = Pool[int]("host", lambda _deadline: 1, lambda _session: None, size=8, fit=slowly_no)
    until = time.monotonic() + 1
    with ExitStack() as all_at_once:
        for _ in range(8):
            all_at_once.enter_context(one.lease(until))
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded), one.lease(began + 0.15):
        pass
    assert time.monotonic() - began < 0.4


def test_a_wake_up_that_comes_as_one_gives_up_is_not_lost_to_the_next() -> None:
    waiting = Waiting()
    one = Pool[int]("host", lambda _deadline: 0, lambda _session: None, size=1, events=waiting)
    got: list[int] = []
    held = ExitStack()
    held.enter_context(one.lease(time.monotonic() + 1))
    hasty = threading.Thread(target=lambda: got.append(_use(one, 0.5)))
    patient = threading.Thread(target=lambda: got.append(_use(one, 5)))
    for number, caller in enumerate((hasty, patient), 1):
        caller.start()
        until(lambda number=number: waiting.now == number)  # type: ignore[misc]
    with one._change:  # the hasty one's time is up, and it can't say so yet
        time.sleep(0.6)
        held.close()
    patient.join(1)
    assert not patient.is_alive()
    hasty.join(1)
    assert got == [0, 0]


def _use(one: Pool[int], seconds: float = 2) -> int:
    with one.lease(time.monotonic() + seconds) as session:
        return session
