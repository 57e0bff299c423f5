"""Access tokens (RFC 9068) and the keys that sign them. A token holds at most what its client, and its person, are registered for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from wrapper.access import OWN, OwnIssuer
from wrapper.policy.keys import ANY, Caller
from wrapper.state.issuer import Client, Person
from wrapper.state.store import Store


def signing_key() -> dict[str, Any]:
    """A fresh private JWK."""
    key = ECKey.generate_key("P-256", private=True)
    return {**key.as_dict(private=True), "kid": key.thumbprint(), "use": "sig", "alg": "ES256"}


def rights(client: Client, person: Person | None) -> Caller:
    """What a token of this client may hold at most; with a person, what both are registered for."""
    if person is None:
        return client.caller
    app, who = client.caller, person.caller
    claims = {name: _both(values, app.claims.get(name, frozenset({ANY}))) for name, values in who.claims.items()}
    return Caller(who.name, app.scopes & who.scopes, app.purposes & who.purposes, claims, who.tenant)


def known(caller: Caller) -> Caller:
    """As whom the facade knows who comes with a token of this caller."""
    return replace(caller, name=f"{OWN}:{caller.name}")


def principal(caller: Caller) -> str:
    return known(caller).principal


def _both(some: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    return others if ANY in some else some if ANY in others else some & others


def access_token(own: OwnIssuer, store: Store, client: str, caller: Caller, bound: str, id: str) -> str:
    """Signed by the newest key, the first of which is made now. `bound`: the certificate that it is worth nothing without. `id`: jti."""
    jwk = store.signing_key()
    if jwk is None:
        store.add_signing_key(signing_key(), first=True)
        jwk = store.signing_key()
        assert jwk is not None
    now = int(time.time())
    about: Mapping[str, Any] = {
        "iss": own.url, "aud": own.url, "sub": caller.name, "client_id": client, "iat": now, "exp": now + int(own.tokens),
        "jti": id, "scope": " ".join(sorted(caller.scopes)), "purpose": sorted(caller.purposes),
        "claims": {name: sorted(values) for name, values in caller.claims.items()},
    }  # fmt: skip
    more = {**({"tenant": caller.tenant} if caller.tenant else {}), **({"cnf": {"x5t#S256": bound}} if bound else {})}
    header = {"alg": "ES256", "typ": "at+jwt", "kid": jwk["kid"]}
    return jwt.encode(header, {**about, **more}, ECKey.import_key(jwk), algorithms=["ES256"])
