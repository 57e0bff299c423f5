"""How a person appears in the audit trail: by a token made with a key of their own. When the key is destroyed nobody can tell any more
which records were theirs, and no line of the trail has changed.

Keys are kept in memory for a minute, so that few requests ask the store; one that the store can't give is made here and added late. Who may
not ask about somebody, or asks about nobody there is, makes no key.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from cachetools import TTLCache

from wrapper.late import Late
from wrapper.problems import NotReady
from wrapper.subjects import Subject

KEPT = 60.0
MANY = 20_000
AGAIN = 5.0  # seconds in which a store that could not say is not asked


class Keys(Protocol):
    """See state/subjects.py."""

    def subject_key(self, subject: Subject) -> bytes: ...

    def subject_keys(self, subject: Subject) -> list[bytes]: ...

    def add_subject_key(self, subject: Subject, key: bytes) -> None: ...


def token(key: bytes, subject: Subject) -> str:
    """What a record shows of a subject."""
    return hmac.digest(key, f"{subject.kind}={subject.value}".encode(), "sha256")[:16].hex()


class Tokens:
    """Thread-safe."""

    def __init__(self, keys: Keys, late: Late, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._late, self._clock = keys, late, clock
        self._known: TTLCache[Subject, str] = TTLCache(MANY, KEPT, clock)
        self._away = 0.0

    def forget(self) -> None:
        """All keys that are known by heart."""
        self._known.clear()

    def of(self, subjects: Sequence[Subject], make: bool) -> list[str]:
        """Their tokens; without `make` only of those who have a key."""
        return [found for subject in subjects if (found := self._of(subject, make))]

    def _of(self, subject: Subject, make: bool) -> str:
        try:
            return self._known[subject]
        except KeyError:  # also when it ends at this moment, in another thread
            pass
        key = self._key(subject, make)
        if key is None:
            return ""
        made = token(key, subject)
        self._known[subject] = made
        return made

    def _key(self, subject: Subject, make: bool) -> bytes | None:
        if self._clock() >= self._away:
            try:
                return self._keys.subject_key(subject) if make else next(iter(self._keys.subject_keys(subject)), None)
            except NotReady:
                self._away = self._clock() + AGAIN
        if not make:
            return None
        key = secrets.token_bytes(32)
        self._late.tell(partial(_added, self._keys, subject, key))
        return key


def _added(keys: Keys, subject: Subject, key: bytes, within: float = 0.0) -> None:
    keys.add_subject_key(subject, key)
