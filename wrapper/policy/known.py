"""Callers that were known a moment ago: what spares a request the state store, and serves reads while the store is down.

A key that is revoked is taken for at most FRESH seconds more. Only while the store can't be read does a caller stay known longer, for at
most LAST seconds: by then nobody could have asked it whether the key still holds.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from wrapper.policy.keys import Caller, Keys, authenticate
from wrapper.problems import NotReady

FRESH = 5.0
LAST = 900.0


@dataclass(slots=True)
class _Seen:
    caller: Caller
    vouched: float  # when the store last said so
    until: float  # when it is asked again


class Known:
    """Authenticates by memory first. Thread-safe; only valid keys are remembered, by the digest of what was sent."""

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._clock = keys, clock
        self._seen: dict[bytes, _Seen] = {}

    def caller(self, authorization: str | None) -> Caller:
        """As authenticate(). Raises Unauthenticated, NotReady."""
        scheme, _, key = (authorization or "").partition(" ")
        token = hashlib.sha256(f"{scheme.lower()} {key.strip()}".encode()).digest()  # one for all spellings that authenticate() takes
        seen, now = self._seen.get(token), self._clock()
        if seen is not None and now < seen.until:
            return seen.caller
        try:
            caller = authenticate(authorization, self._keys)
        except NotReady:
            if seen is None or now - seen.vouched >= LAST:
                raise
            seen.until = self._clock() + FRESH  # a store that is slow to say no is not asked by each request
            return seen.caller
        except BaseException:
            self._seen.pop(token, None)
            raise
        self._seen[token] = _Seen(caller, now, now + FRESH)
        return caller
