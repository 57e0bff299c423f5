"""Passwords of people: scrypt, with a salt each. It takes 32 MB and a quarter of a second on purpose, so few run at a time, and few wait:
each who waits holds one of the facade's threads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata

from wrapper.problems import NotReady, RequestError

LEAST, MOST = 12, 256
_COST = {"n": 2**15, "r": 8, "p": 3, "maxmem": 64 * 1024 * 1024, "dklen": 32}
MANY = 6  # at once, those who wait included
_PLACES, _INSIDE = threading.BoundedSemaphore(2), threading.BoundedSemaphore(MANY)
_PATIENCE = 5.0  # seconds to wait for a place


class WeakPassword(RequestError):
    """It is too short, or too long to be looked at."""


def new(password: str) -> str:
    """What is kept of it. Raises WeakPassword."""
    if not LEAST <= len(password) <= MOST:
        raise WeakPassword(f"a password has {LEAST} to {MOST} characters")
    salt = secrets.token_bytes(16)
    return f"scrypt1${base64.b64encode(salt).decode()}${base64.b64encode(_derived(password, salt)).decode()}"


def right(password: str, kept: str | None) -> bool:
    """Whether it is the one that is kept; it takes as long when none is. Raises NotReady when too many sign in at once."""
    salt, derived = (base64.b64decode(part) for part in kept.split("$")[1:]) if kept is not None else (b"\0" * 16, b"")
    if len(password) > MOST:
        return False
    if not _INSIDE.acquire(blocking=False):
        raise _busy()
    try:
        if not _PLACES.acquire(timeout=_PATIENCE):
            raise _busy()
        try:
            return hmac.compare_digest(_derived(password, salt), derived)
        finally:
            _PLACES.release()
    finally:
        _INSIDE.release()


def _busy() -> NotReady:
    return NotReady("too many people are signing in at this moment", headers={"Retry-After": "5"})


def _derived(password: str, salt: bytes) -> bytes:
    """Of one that is typed on any keyboard: accents may arrive composed or not."""
    return hashlib.scrypt(unicodedata.normalize("NFKC", password).encode(), salt=salt, **_COST)
