"""Waiting for what comes about: polled, and never longer than a stated time."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def until(true: Callable[[], object], seconds: float = 15.0) -> float:
    """Return when it is true, with how long that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.01)
    return time.monotonic() - began


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
