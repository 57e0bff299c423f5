"""The keys of an issuer: fetched, kept, and changed with it. Never asked for by what a token says of them (`jku`, `x5u`, `jwk`, `x5c`).

One thread at a time fetches an issuer's keys, and no lock is held meanwhile: whose key is at hand never waits. A key that nobody knows
makes the issuer be asked again, at most once in PAUSE seconds in this process whatever comes (our own at any time: that is a look into
the store); few may wait for that (PLACES), so tokens
with invented keys hold nobody up. While the issuer is away its keys hold on for KEPT seconds, counted from when it last showed them.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from adapters.base import Call
from adapters.errors import AdapterError, Misread
from adapters.httpwire import Wire
from wrapper import log
from wrapper.access import Issuer
from wrapper.problems import NotReady, RequestError

DEADLINE = 3.0
FRESH = 300.0
KEPT = 3600.0
PAUSE = 10.0
PLACES = 4
MOST = 256 * 1024  # bytes of a key set
FITS: Mapping[str, tuple[str, str]] = {
    "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519"), "Ed25519": ("OKP", "Ed25519"), "PS256": ("RSA", ""), "RS256": ("RSA", ""),
}  # fmt: skip
"""The type and curve of an algorithm's keys."""
_MEMBERS = ("kty", "kid", "use", "alg", "key_ops", "crv", "x", "y", "n", "e")
_MODULUS = range(342, 1368)  # digits of base64: 2048 to 8192 bits

Fetch = Callable[[], bytes]
"""Gives the issuer's JWK set as JSON, within seconds. Raises AdapterError, RequestError, OSError or ValueError when it can't."""


@dataclass(frozen=True, slots=True)
class _Held:
    keys: Sequence[Key]
    at: float

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The one key of that name, or the only one for the algorithm; two of them are ambiguous, and none."""
        found = [key for key in self.keys if _fits(key, algorithm) and (kid is None or key.kid == kid)]
        return found[0] if len(found) == 1 else None


class Jwks:
    """One issuer's keys in this process. Thread-safe; nothing is fetched before the first question."""

    def __init__(self, name: str, fetch: Fetch, pause: float = PAUSE, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._fetch, self._pause, self._clock = name, fetch, pause, clock
        self._held: _Held | None = None
        self._asked = -math.inf  # when the last fetch began
        self._failed = False
        self._coming: threading.Event | None = None
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PLACES)

    def key(self, kid: str | None, algorithm: str) -> Key | None:
        """The key with which such a token is checked. Raises NotReady when it can't be told whether there is one."""
        held, now = self._usable(), self._clock()
        if held is not None:
            if now - held.at >= FRESH:
                self._ask(now)
            if (found := held.find(kid, algorithm)) is not None:
                return found
        self._wait(self._ask(now))
        held = self._usable()
        found = None if held is None else held.find(kid, algorithm)
        if held is None or (found is None and self._failed):
            raise NotReady(f"the keys of the issuer {self._name} can't be had now", headers={"Retry-After": f"{max(self._pause, 1.0):.0f}"})
        return found

    def warm(self) -> None:
        self._ask(self._clock())

    def _usable(self) -> _Held | None:
        held = self._held
        return held if held is not None and self._clock() - held.at < KEPT else None

    def _ask(self, now: float) -> threading.Event | None:
        """What is set when the fetch ends that is under way now; None when there was one a moment ago."""
        with self._lock:
            if self._coming is None and now - self._asked >= self._pause:
                self._coming, self._asked = threading.Event(), now
                threading.Thread(target=self._refresh, args=(self._coming,), name=f"figway-jwks-{self._name}", daemon=True).start()
            return self._coming

    def _wait(self, coming: threading.Event | None) -> None:
        if coming is None:
            return
        if not self._places.acquire(blocking=False):
            raise NotReady(f"the keys of the issuer {self._name} are being fetched", headers={"Retry-After": "1"})
        try:
            coming.wait(DEADLINE + 0.5)
        finally:
            self._places.release()

    def _refresh(self, coming: threading.Event) -> None:
        began, self._failed = self._clock(), True
        try:
            self._held, self._failed = _Held(usable(self._fetch()), began), False
        except (AdapterError, RequestError, OSError, ValueError, RecursionError) as error:
            log.get().warning("issuer", issuer=self._name, outcome="keys not fetched", error=type(error).__name__)
        finally:
            self._coming = None
            coming.set()


def usable(document: bytes) -> tuple[Key, ...]:
    """The keys of a JWK set that signatures can be checked with. Raises ValueError for what is no set; keys of no use are passed over."""
    if len(document) > MOST:
        raise ValueError("the key set is too long")
    raw = json.loads(document)
    if not isinstance(raw, dict) or not isinstance(raw.get("keys"), list):
        raise ValueError("this is no JWK set")
    return tuple(key for one in raw["keys"] if (key := _key(one)) is not None)


def _key(raw: Any) -> Key | None:
    """A public key for signatures; not a shared secret, one for encryption, one whose secret part is known by now, or a short one."""
    if not isinstance(raw, dict) or raw.get("kty") not in ("EC", "OKP", "RSA"):
        return None
    try:
        if "d" in raw or raw.get("use", "sig") != "sig" or "verify" not in raw.get("key_ops", ["verify"]):
            return None
        if raw["kty"] == "RSA" and len(raw["n"]) not in _MODULUS:
            return None
        return import_key({name: raw[name] for name in _MEMBERS if name in raw})
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
        return None


def _fits(key: Key, algorithm: str) -> bool:
    type, curve = FITS[algorithm]
    return key.key_type == type and (not curve or key.get("crv") == curve) and key.alg in (None, algorithm)


def source(issuer: Issuer, deadline: float = DEADLINE) -> Fetch:
    """Where an issuer's keys come from: its URL or its file."""
    if issuer.jwks.startswith(("https://", "http://")):
        return partial(_over_http, issuer, deadline)
    return partial(_of_file, Path(issuer.jwks))


def _over_http(issuer: Issuer, deadline: float) -> bytes:
    """One exchange over a connection of its own: no redirect, proxy or cookie, and all of it within the deadline."""
    parts = urlsplit(issuer.jwks)
    wire = Wire(issuer.name, f"{parts.scheme}://{parts.netloc}", {"tls": {"ca": issuer.ca}} if issuer.ca else {})
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        answer = wire.send(Call("jwks", None, {}, time.monotonic() + deadline), "GET", path, {"Accept": "application/json"})
    finally:
        wire.close()
    if answer.status != 200:
        raise Misread(f"{issuer.name} answered with HTTP status {answer.status}", backend=issuer.name)
    return answer.body


def _of_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST + 1)
