"""The watchdog acts in time whatever has happened to its process."""

from __future__ import annotations

import os
import threading
import time

import pytest

from adapters import watchdog
from adapters.watchdog import Watchdog


def test_a_thread_that_could_not_be_started_is_started_by_the_next_alarm() -> None:
    dog, fired = Watchdog(), threading.Event()
    threading.stack_size(1 << 46)  # more than there is
    try:
        with pytest.raises(RuntimeError):
            dog.set(time.monotonic() + 60, fired.set)
    finally:
        threading.stack_size(0)
    dog.set(time.monotonic() + 0.05, fired.set)
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
