"""The pool: bounded, and patient where a session may come free."""

from __future__ import annotations

import threading
import time

import pytest

from adapters.errors import PoolExhausted
from adapters.pool import Pool


def pool(may_open: int, size: int = 3) -> Pool[int]:
    """A pool whose back end admits only `may_open` sessions."""
    made: list[int] = []

    def open(_deadline: float) -> int:
        if len(made) == may_open:
            raise PoolExhausted("the rest is held elsewhere")
        made.append(len(made))
        return made[-1]

    return Pool("host", open, lambda _session: None, size=size)


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


def test_it_is_exhausted_at_the_deadline_not_before() -> None:
    one = pool(may_open=1)
    with one.lease(time.monotonic() + 1):
        began = time.monotonic()
        with pytest.raises(PoolExhausted), one.lease(began + 0.2):
            pass
        assert 0.2 <= time.monotonic() - began < 0.5


def test_it_is_exhausted_at_once_when_there_is_nothing_to_wait_for() -> None:
    with pytest.raises(PoolExhausted, match="held elsewhere"), pool(may_open=0).lease(time.monotonic() + 5):
        pass


def _use(one: Pool[int]) -> int:
    with one.lease(time.monotonic() + 2) as session:
        return session
