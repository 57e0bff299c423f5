"""A worker's threads: started as they are needed; a request that gets none is turned away, and takes nobody with it."""

from __future__ import annotations

import queue
import threading
from typing import Any

from wrapper.admission import Class
from wrapper.worker import Crew


def test_a_request_without_a_thread_is_given_back_and_the_next_one_is_served() -> None:
    served: queue.SimpleQueue[Any] = queue.SimpleQueue()
    crew = Crew("test", Class(2, 2), served.put)
    usual = threading.stack_size(1 << 46)  # what a limit of threads, or of memory, is to whoever starts one
    try:
        assert not crew.give("first", 1)  # type: ignore[arg-type]
    finally:
        threading.stack_size(usual)
    assert crew.give("second", 1)  # type: ignore[arg-type]
    assert served.get(timeout=5) == "second"
    assert served.empty()


def test_a_thread_that_was_had_in_time_serves_when_there_is_no_other() -> None:
    served: queue.SimpleQueue[Any] = queue.SimpleQueue()
    crew = Crew("test", Class(2, 2), served.put)
    assert crew.grow()
    usual = threading.stack_size(1 << 46)
    try:
        assert crew.give("first", 1)  # type: ignore[arg-type]
    finally:
        threading.stack_size(usual)
    assert served.get(timeout=5) == "first"
