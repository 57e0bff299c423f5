"""Access tokens (RFC 9068): who calls, by a JWT that an issuer of access.yaml has signed. Nothing is issued here.

What could be read in two ways is refused: a member given twice, an unknown `crit`, an encrypted or nested token, a confirmation that is not
understood. Header members that name a key or where to get one are not looked at. The keys are the issuer's own (jwks.py), the algorithms
those that its block lists.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from wrapper import log, strict_json
from wrapper.access import OWN, Access, Issuer
from wrapper.policy import bearer, jwks
from wrapper.policy.jwks import Fetch, Jwks
from wrapper.policy.keys import Caller, Vouched
from wrapper.policy.roles import PREFIX

LEEWAY = 30.0
"""Seconds by which an issuer's clock may be ahead of ours. A token ends when it says so."""
TYPES = ("at+jwt", "application/at+jwt")
_NAME = re.compile(r"[A-Za-z0-9._:@|~+=-]{1,128}", re.ASCII)  # for logs, lists and patterns: no blank, quote, comma, slash, % or *
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_BOUND = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_JSON = strict_json.decoder()
_LATEST = 1e11  # a time of the day beyond which there is no sense

Claims = Mapping[str, Any]


class _Refused(Exception):
    """A token that is not believed, and why: for the log of who is setting up an issuer, never for the caller."""


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A token's parts, not yet believed."""

    header: Claims = field(repr=False)
    claims: Claims = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


class Tokens:
    """The issuers whose tokens are believed. Thread-safe."""

    def __init__(self, trusted: Iterable[tuple[Issuer, Fetch]] = (), wall: Callable[[], float] = time.time) -> None:
        self._issuers = {issuer.issuer: (issuer, Jwks(issuer.name, fetch, 0.0 if issuer.own else jwks.PAUSE)) for issuer, fetch in trusted}
        self._wall = wall

    def warm(self) -> None:
        """Fetch every issuer's keys on the side, so that the first callers need not wait. After the fork: it starts threads."""
        for _, keys in self._issuers.values():
            keys.warm()

    def authenticate(self, token: str) -> Vouched:
        """The caller that a token names. Raises Unauthenticated, or NotReady when its issuer's keys can't be had."""
        try:
            return self._believed(token)
        except _Refused as why:
            log.get().debug("token", outcome="refused", reason=str(why))
            raise bearer.invalid() from None

    def _believed(self, token: str) -> Vouched:
        parsed = _parse(token)
        issuer, keys = self._issuers.get(_text(parsed.claims, "iss"), (None, None))
        if issuer is None or keys is None:
            raise _Refused("its issuer is not one that is believed")
        _check_header(parsed.header, issuer)
        algorithm = parsed.header["alg"]
        key = keys.key(parsed.header.get("kid"), algorithm)
        if key is None:
            raise _Refused("its key is not one of its issuer's")
        if not _signed(parsed, key, algorithm):
            raise _Refused("its signature is not its issuer's")
        ends = _check_claims(parsed.claims, issuer, self._wall())
        return Vouched(_caller(parsed.claims, issuer), ends)


def trusted(access: Access, own: Callable[[], Mapping[str, Any]] | None = None) -> list[tuple[Issuer, Fetch]]:
    """The issuers of access.yaml with where their keys are; `own` gives the embedded one's JWK set."""
    theirs = [(issuer, jwks.source(issuer)) for issuer in access.issuers.values()]
    if access.issuer is None or own is None:
        return theirs
    url = access.issuer.url
    ours = Issuer(OWN, url, "", url, ("ES256",), purposes="purpose", tenant="tenant", own=True)
    return [*theirs, (ours, lambda: json.dumps(own()).encode())]


def _parse(token: str) -> _Parsed:
    head, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    try:
        return _Parsed(_object(head), _object(body), f"{head}.{body}".encode("ascii"), urlsafe_b64decode(signature.encode("ascii")))
    except (ValueError, RecursionError):  # base64, UTF-8 and JSON
        raise _Refused("it is no signed JWT in the compact form") from None


def _object(part: str) -> Claims:
    made = _JSON.decode(urlsafe_b64decode(part.encode("ascii")).decode("utf-8"))
    if not isinstance(made, dict):
        raise ValueError("no object")
    return made


def _check_header(header: Claims, issuer: Issuer) -> None:
    """`jku`, `x5u`, `jwk` and `x5c` are not looked at."""
    if _text(header, "typ").lower() not in TYPES:
        raise _Refused("its typ is not at+jwt")
    if _text(header, "alg") not in issuer.algorithms:
        raise _Refused("its alg is not one of its issuer's")
    if "crit" in header or "b64" in header:
        raise _Refused("it asks for an extension of JWS")
    if "kid" in header:
        _text(header, "kid")


def _signed(parsed: _Parsed, key: Key, algorithm: str) -> bool:
    model = JWSRegistry.algorithms[algorithm]
    try:
        model.check_key(key)
        return model.verify(parsed.signed, parsed.signature, key)
    except (JoseError, ValueError):
        return False


def _check_claims(claims: Claims, issuer: Issuer, now: float) -> float:
    """When the token ends. Its signature is good."""
    if issuer.audience not in _texts(claims, "aud", split=False):
        raise _Refused("its aud does not name this audience")
    ends = _time(claims, "exp")
    if ends <= now:
        raise bearer.expired()
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY:
        raise _Refused("it does not hold yet")
    if "iat" in claims and _time(claims, "iat") > min(now + LEEWAY, ends):
        raise _Refused("it was issued in the future")
    return ends


def _caller(claims: Claims, issuer: Issuer) -> Caller:
    _text(claims, "client_id")
    name = _text(claims, "sub")
    if not _NAME.fullmatch(name):
        raise _Refused("its sub can't be a caller's name")
    scopes = _texts(claims, "scope" if "scope" in claims else "scp") | {PREFIX + role for role in _texts(claims, "roles")}
    if issuer.scopes:
        scopes &= issuer.scopes
    ours, purposes = _ours(claims, issuer), _texts(claims, issuer.purposes)
    tenant, bound = _tenant(claims, issuer), _bound(claims, issuer)
    return Caller(f"{issuer.name}:{name}", scopes, purposes, ours, tenant, via="token", bound=bound)


def _ours(claims: Claims, issuer: Issuer) -> Mapping[str, frozenset[str]]:
    if not issuer.own:
        return {claim: _texts(claims, theirs, split=False) for claim, theirs in issuer.claims.items()}
    told = claims.get("claims", {})
    if not isinstance(told, dict):
        raise _Refused("its claims are no object")
    return {claim: _texts(told, claim, split=False) for claim in told}


def _tenant(claims: Claims, issuer: Issuer) -> str:
    if not issuer.tenant or (issuer.own and issuer.tenant not in claims):
        return ""
    tenant = _text(claims, issuer.tenant)
    if not _TENANT.fullmatch(tenant):
        raise _Refused("its tenant is none")
    return tenant


def _bound(claims: Claims, issuer: Issuer) -> str:
    """The thumbprint of the certificate that it is bound to. What else it may be bound to can't be checked, so it is refused."""
    cnf = claims.get("cnf", {})
    if not isinstance(cnf, dict) or ("cnf" in claims and set(cnf) != {"x5t#S256"}):
        raise _Refused("it is bound to what can't be checked")
    if issuer.bound and not cnf:
        raise _Refused("it is not bound to a certificate")
    bound = _text(cnf, "x5t#S256") if cnf else ""
    if cnf and not _BOUND.fullmatch(bound):
        raise _Refused("it is bound to no thumbprint")
    return bound


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise _Refused(f"its {name} is no text, or is missing")
    return value


def _texts(claims: Claims, name: str, split: bool = True) -> frozenset[str]:
    """A list of texts or one text, which holds several with blanks between them where they are `split`; none when it is missing."""
    value = claims.get(name, [])
    if isinstance(value, str):
        return frozenset(value.split(" ") if split else [value]) - {""}
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _Refused(f"its {name} is neither text nor a list of texts")
    return frozenset(value)


def _time(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise _Refused(f"its {name} is no time, or is missing")
    return float(value)
