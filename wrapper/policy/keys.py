"""API keys: who is calling, and what they may ask.

A key is `fw_<id>_<secret>`. The store keeps the secret's SHA-256 only: see hashed().
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from wrapper.operation import Auth
from wrapper.policy import bearer
from wrapper.problems import Forbidden

_KEY = re.compile(r"fw_([0-9a-f]{12})_([0-9A-Za-z_-]{43})", re.ASCII)
ANY = "*"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `claims` bind parameters: {"customer": {"0000012345"}}; `*` is every value. `tenant` is empty where there is only one.
    `bound` is the thumbprint (x5t#S256) of the client certificate that a token is bound to, if it is."""

    name: str
    scopes: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tenant: str = ""
    via: Literal["key", "token", "certificate", "cli"] = "key"
    bound: str = ""

    def __post_init__(self) -> None:
        """No caller has a name that the store or a log can't write, like a lone surrogate."""
        self.principal.encode()

    @property
    def principal(self) -> str:
        """Under which all that belongs to this caller is kept: no name has a slash, so no two tenants share one."""
        return f"{self.tenant}/{self.name}" if self.tenant else self.name


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A stored key: never the secret itself. Times are of the day; one that `expires` never is None; one that is not `genuine` was not
    made, or was changed, without the store's key, and its rights are not told."""

    id: str
    digest: str
    caller: Caller
    revoked: bool = False
    expires: float | None = None
    created: float = field(default=0.0, compare=False)
    genuine: bool = True


@dataclass(frozen=True, slots=True)
class Vouched:
    """A caller whose credential is good, and the time of the day at which it ends."""

    caller: Caller
    ends: float = math.inf


class Keys(Protocol):
    """Where keys are kept (the state store)."""

    def key(self, id: str) -> KeyRow | None: ...


def new(caller: Caller) -> tuple[str, KeyRow]:
    """A fresh key as the caller will send it, shown once, and what is stored of it."""
    id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return f"fw_{id}_{secret}", KeyRow(id, hashed(secret), caller)


def authenticate(sent: str, keys: Keys, now: float) -> Vouched:
    """The caller behind an API key. Raises Unauthenticated, NotReady."""
    found = _KEY.fullmatch(sent)
    row = keys.key(found[1]) if found else None
    if not found or row is None:
        raise bearer.invalid()
    if not hmac.compare_digest(row.digest, hashed(found[2])):
        raise bearer.invalid()
    if row.revoked:
        raise bearer.invalid()
    if row.expires is not None and row.expires <= now:
        raise bearer.expired()
    return Vouched(row.caller, math.inf if row.expires is None else row.expires)


def need(caller: Caller, scope: str) -> None:
    """Raises Forbidden."""
    if scope not in caller.scopes:
        raise bearer.lacking(scope)


def authorise(auth: Auth, caller: Caller, purpose: str | None) -> str:
    """Scope and purpose: the one that holds, '' where none is asked for. Raises Forbidden with what would be needed."""
    if auth.scope is not None:
        need(caller, auth.scope)
    if not auth.purposes:
        return ""
    if not caller.purposes:
        raise Forbidden(f"this needs a caller that was given a purpose: {' or '.join(auth.purposes)}")
    only = next(iter(caller.purposes)) if len(caller.purposes) == 1 else None
    stated = purpose if purpose is not None else only
    if stated is None:
        raise Forbidden(f"state a purpose in the header Figway-Purpose: {' or '.join(auth.purposes)}")
    if stated not in caller.purposes:
        raise Forbidden(f"you are not here for the purpose stated, only for: {', '.join(sorted(caller.purposes))}")
    if stated not in auth.purposes:
        raise Forbidden(f"this is not to be had for the purpose {stated}, only for: {', '.join(auth.purposes)}")
    return stated


def hashed(secret: str) -> str:
    """As the store keeps what it must only know again: 256 bits of randomness need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
