"""API keys: who is calling, and what they may ask.

A key is `fw_<id>_<secret>`. The store keeps the secret's SHA-256 only: it is 256 bits of randomness, so a slow hash would add nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from wrapper.operation import Auth
from wrapper.problems import Forbidden, Unauthenticated

_KEY = re.compile(r"fw_([0-9a-f]{12})_([0-9A-Za-z_-]{43})", re.ASCII)
ANY = "*"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `claims` bind parameters: {"customer": {"0000012345"}}; `*` is every value. `tenant` is empty where there is only one."""

    name: str
    scopes: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tenant: str = ""

    @property
    def principal(self) -> str:
        """Under which all that belongs to this caller is kept: no name has a slash, so no two tenants share one."""
        return f"{self.tenant}/{self.name}" if self.tenant else self.name


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A stored key: never the secret itself. Times are of the day; one that `expires` never is None."""

    id: str
    digest: str
    caller: Caller
    revoked: bool = False
    expires: float | None = None
    created: float = field(default=0.0, compare=False)


class Keys(Protocol):
    """Where keys are kept (the state store)."""

    def key(self, id: str) -> KeyRow | None: ...


def new(caller: Caller) -> tuple[str, KeyRow]:
    """A fresh key as the caller will send it, shown once, and what is stored of it."""
    id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return f"fw_{id}_{secret}", KeyRow(id, _digest(secret), caller)


def authenticate(authorization: str | None, keys: Keys) -> Caller:
    """The caller behind an `Authorization: Bearer fw_...` header. Raises Unauthenticated, which tells no guesser what was wrong."""
    challenge = {"WWW-Authenticate": 'Bearer realm="figway"'}
    if not authorization:
        raise Unauthenticated("send an API key as `Authorization: Bearer fw_...`", headers=challenge)
    scheme, _, token = authorization.partition(" ")
    found = _KEY.fullmatch(token.strip()) if scheme.lower() == "bearer" else None
    row = keys.key(found[1]) if found else None
    if not found or row is None or row.revoked or not hmac.compare_digest(row.digest, _digest(found[2])):
        raise Unauthenticated("this API key is not valid", headers=challenge)
    return row.caller


def authorise(auth: Auth, caller: Caller, purpose: str | None) -> str:
    """Scope and purpose: the one that holds, '' where none is asked for. Raises Forbidden with what would be needed."""
    if auth.scope is not None and auth.scope not in caller.scopes:
        raise Forbidden(f"this needs the scope {auth.scope}")
    if not auth.purposes:
        return ""
    if not caller.purposes:
        raise Forbidden(f"this needs a key that was given a purpose: {' or '.join(auth.purposes)}")
    stated = purpose or (next(iter(caller.purposes)) if len(caller.purposes) == 1 else None)
    if stated is None:
        raise Forbidden(f"state a purpose in the header Figway-Purpose: {' or '.join(auth.purposes)}")
    if stated not in caller.purposes:
        raise Forbidden(f"this key is not for the purpose stated; it is for: {', '.join(sorted(caller.purposes))}")
    if stated not in auth.purposes:
        raise Forbidden(f"this is not to be had for the purpose {stated}, only for: {', '.join(auth.purposes)}")
    return stated


def authorise_object(auth: Auth, caller: Caller, params: Mapping[str, Any]) -> None:
    """The subject of the request must be one that the caller's claims name."""
    for name, claim in auth.object.items():
        allowed = caller.claims.get(claim, frozenset())
        if ANY not in allowed and str(params.get(name)) not in allowed:
            raise Forbidden(f"this key's claim '{claim}' does not cover the {name} asked for")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
