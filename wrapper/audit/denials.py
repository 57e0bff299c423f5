"""Denials and failures that anybody can cause as many of as they like: each of a kind has its record up to so many a second, the rest is
counted, and the count is on record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

BURST = 20
STRANGERS = 2  # of those whom nobody knows: what they can cause is kept for years, and fills a disk
SECOND = 1.0
KINDS = 1000
_REST = ("", "", 0)


class Denials:
    """Thread-safe. A kind is told apart by its key; beyond so many kinds at a time they are one."""

    def __init__(self, tell: Callable[[Mapping[str, Any]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._lock = threading.Lock()
        self._seen: dict[Hashable, int] = {}
        self._last: dict[Hashable, Mapping[str, Any]] = {}
        self._until = 0.0

    def met(self, key: Hashable, about: Mapping[str, Any], most: int = BURST) -> None:
        """One of a kind, of which `most` a second have a record each."""
        self.turn()
        with self._lock:
            if key not in self._seen and len(self._seen) >= KINDS:
                key = _REST
            seen = self._seen[key] = self._seen.get(key, 0) + 1
            if seen > most:
                self._last[key] = {**about, "more": seen - most}
        if seen <= most:
            self._tell(about)

    def turn(self, now: bool = False) -> None:
        """What was only counted is told when its second is over."""
        if not now and self._clock() < self._until:
            return
        with self._lock:
            counted = [*self._last.values()]
            self._seen, self._last, self._until = {}, {}, self._clock() + SECOND
        for about in counted:
            self._tell(about)
