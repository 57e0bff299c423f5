"""Who is let in: a worker serves so many requests at once and turns the rest away, at once.

A sick back end fills every thread that it is given. So the facade gets all threads of a worker but a few, which health keeps for itself,
and what does not fit is answered 503 with Retry-After by whoever has just read it. Nothing waits in a queue that nobody sees.
Knows neither gunicorn nor Flask.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass

GRACEFUL = 30  # seconds for what was let in when a worker is to end
FULL = "the facade serves as many requests as it can: ask again"
LEAVING = "leaving"  # a file beside the accepted catalogue: the supervisor is about to stop
UNFIT = signal.SIGVTALRM  # ends gunicorn: one of its first workers can't serve the catalogue, and the supervisor is to say why
RESERVED = 8  # threads of a worker that the facade never gets


@dataclass(frozen=True, slots=True)
class Class:
    """Requests that share threads: how many threads, and how many requests are let in at once."""

    threads: int
    requests: int


def classes(threads: int) -> Mapping[str, Class]:
    """A worker's threads by class of request. What can't block (live) may queue for its two threads; nothing else queues."""
    facade = threads - RESERVED
    return {"facade": Class(facade, facade), "ready": Class(6, 6), "live": Class(2, 64), "admin": Class(4, 4)}


def class_of(path: str, admin: bool = False) -> str:
    """The class of a request for `path`, on the main listener or on that for health, metrics and admin."""
    match path:
        case "/health/live":
            return "live"
        case "/health/ready":
            return "ready"
    return "admin" if admin else "facade"


class Admission:
    """How many requests of each class are being served. Thread-safe."""

    def __init__(self, limits: Mapping[str, Class]) -> None:
        self._limits = {name: limit.requests for name, limit in limits.items()}
        self._inside = dict.fromkeys(limits, 0)
        self._lock = threading.Lock()

    def enter(self, name: str) -> int:
        """How many are inside with this one; 0 when it must be turned away."""
        with self._lock:
            if self._inside[name] >= self._limits[name]:
                return 0
            self._inside[name] += 1
            return self._inside[name]

    def leave(self, name: str) -> None:
        with self._lock:
            self._inside[name] -= 1
