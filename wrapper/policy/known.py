"""Callers that were known a moment ago: what spares a request the state store and a signature, and serves while the store is down.

A key that is revoked, or a token whose issuer has withdrawn its key, is taken for at most FRESH seconds more. Only while nobody can be
asked does a caller stay known longer, for at most LAST seconds, and never past the end of its credential. The memory is bounded; who was
vouched for longest ago is forgotten first.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from wrapper.policy import bearer, keys, peers
from wrapper.policy.keys import Caller, Keys, Vouched
from wrapper.policy.peers import Certificates
from wrapper.policy.roles import expanded
from wrapper.policy.tokens import Tokens
from wrapper.problems import NotReady

FRESH = 5.0
LAST = 900.0
MOST = 20_000


@dataclass(slots=True)
class _Seen:
    caller: Caller
    vouched: float  # when it was last proven
    until: float  # when it is to be proven again
    ends: float  # when the credential itself ends


class Known:
    """Authenticates by memory first. Thread-safe; only valid credentials are remembered, by the digest of what was sent."""

    def __init__(
        self,
        store: Keys,
        tokens: Tokens | None = None,
        certificates: Certificates | None = None,
        *,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._clock, self._wall = store, clock, wall
        self._tokens, self._certificates = tokens or Tokens(), certificates or Certificates()
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._lock, self._most = threading.Lock(), most

    def caller(self, authorization: str | None, peer: bytes | None = None, *, admit: Callable[[], None] = lambda: None) -> Caller:
        """Who sends this Authorization header over a connection with this client certificate (DER). The certificate says who calls only
        where there is no header. Who is not remembered is let in by `admit` first. Raises Unauthenticated, NotReady, and RequestError for a
        header that can't be read."""
        if authorization is None and peer is not None:
            sent = hashlib.sha256(peer).digest()
        else:
            scheme, _, rest = (authorization or "").partition(" ")
            sent = hashlib.sha256(f"{scheme.lower()} {rest.strip(' ')}".encode()).digest()  # one for all spellings that are taken
        seen, now = self._seen.get(sent), self._clock()
        if seen is None:
            admit()
        if seen is None or now >= seen.until:
            seen = self._proven(sent, seen, now, authorization, peer)
        if seen.caller.bound and not peers.holds(peer, seen.caller.bound):
            raise bearer.invalid()
        return seen.caller

    def _proven(self, sent: bytes, seen: _Seen | None, now: float, authorization: str | None, peer: bytes | None) -> _Seen:
        try:
            vouched = self._authenticate(authorization, peer)
        except NotReady:
            if seen is None or now - seen.vouched >= LAST or now >= seen.ends:
                raise
            seen.until = min(self._clock() + FRESH, seen.ends)  # a store that is slow to say no is not asked by each request
            return seen
        except BaseException:
            with self._lock:
                self._seen.pop(sent, None)
            raise
        caller = replace(vouched.caller, scopes=expanded(vouched.caller.scopes))  # the one place where roles become scopes
        ends = now + vouched.ends - self._wall()
        fresh = _Seen(caller, now, min(now + FRESH, ends), ends)
        with self._lock:
            self._seen[sent] = fresh
            self._seen.move_to_end(sent)
            if len(self._seen) > self._most:
                self._seen.popitem(last=False)
        return fresh

    def _authenticate(self, authorization: str | None, peer: bytes | None) -> Vouched:
        if authorization is None and peer is not None:
            return self._certificates.authenticate(peer)
        token = bearer.token(authorization)
        if token.startswith("fw_"):
            return keys.authenticate(token, self._keys, self._wall())
        return self._tokens.authenticate(token)
