"""The authorization server: Authlib's rules over our records. A request comes in as parameters, an answer goes out as status, body and
headers; HTTP is `routes.py`'s.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from authlib.oauth2 import AuthorizationServer, OAuth2Error
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidScopeError

from wrapper.access import OwnIssuer
from wrapper.issuer.clients import METHODS, PROOFS, Asked, Assertion, Registered, by_certificate
from wrapper.issuer.grants import AuthorizationCode, ClientCredentials, Held, Pkce, Refresh, RefreshToken, Revocation
from wrapper.issuer.minting import access_token, principal, rights
from wrapper.issuer.proofs import ALGORITHMS
from wrapper.policy.keys import Caller, hashed
from wrapper.policy.peers import thumbprint
from wrapper.state.issuer import Person
from wrapper.state.store import Store

Act = Callable[..., object]
Spend = Callable[[Caller], None]
Answer = tuple[int, str | Mapping[str, Any], Sequence[tuple[str, str]]]


class Server(AuthorizationServer):
    """Thread-safe: it keeps nothing of a request. Its own methods raise NotReady while the store is away."""

    def __init__(self, own: OwnIssuer, store: Store, act: Act, spend: Spend) -> None:
        """`act` puts on the audit trail what is about to be given; `spend` takes it from a caller's quota. Raises TooMany."""
        super().__init__()
        self.own, self.store, self.act, self.spend = own, store, act, spend
        self.register_client_auth_method(PROOFS["key"], Assertion(store, [own.url, f"{own.url}/oauth/token"]))
        self.register_client_auth_method(PROOFS["certificate"], by_certificate)
        for grant, extensions in ((ClientCredentials, []), (AuthorizationCode, [Pkce()]), (RefreshToken, [])):
            self.register_grant(grant, extensions)
        self.register_endpoint(Revocation)

    def query_client(self, client_id: str) -> Registered | None:
        record = self.store.client(client_id)
        return None if record is None else Registered(record)

    def person(self, name: str) -> Person:
        """Raises InvalidGrantError when there is none of that name any more."""
        person = self.store.person(name)
        if person is None:
            raise InvalidGrantError("The person is not known any more.")
        return person

    def may_serve(self, asked: Asked, person: Person) -> bool:
        """Whether the client may act for that person: of its own tenant, if it has one, and with something of what it asks for."""
        app: Registered = asked.client
        if app.record.caller.tenant not in ("", person.caller.tenant):
            return False
        scopes = set(asked.scope.split())
        return not scopes or bool(scopes & person.caller.scopes)

    def held(self, token: str) -> Held | None:
        """A refresh token, whose family is not over."""
        refresh = Refresh(token)
        grant = self.store.family(refresh.family)
        return None if grant is None else Held(refresh, grant)

    def token(self, request: Asked, person: Person | None, scope: str | None) -> dict[str, Any]:
        """An access token with `scope`, as far as client and person are registered for it; that of a client with a certificate is bound
        to it. Raises InvalidScopeError where there is none."""
        client: Registered = request.client
        most = rights(client.record, person)
        if scope is None:
            raise InvalidScopeError("The client is not registered for all of this scope.")
        granted = replace(most, scopes=most.scopes & set(scope.split()))
        bound = thumbprint(request.peer) if client.record.proof == "certificate" and request.peer is not None else ""
        id = secrets.token_urlsafe(16)
        made = access_token(self.own, self.store, client.client_id, granted, bound, id)
        self.act(principal(granted), "token", client=client.client_id, scopes=sorted(granted.scopes), jti=hashed(id))
        told = {"access_token": made, "token_type": "Bearer", "expires_in": int(self.own.tokens)}
        return {**told, "scope": " ".join(sorted(granted.scopes))}

    def create_oauth2_request(self, request: Asked) -> Asked:
        return request

    def handle_response(self, status: int, body: str | Mapping[str, Any], headers: Sequence[tuple[str, str]]) -> Answer:
        return status, body, headers

    def refused(self, error: OAuth2Error) -> Answer:
        """An error as its answer."""
        return self.handle_response(*error())

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def metadata(self) -> dict[str, Any]:
        """RFC 8414."""
        at = f"{self.own.url}/oauth"
        signing = {"auth_methods_supported": METHODS, "auth_signing_alg_values_supported": list(ALGORITHMS)}
        return {
            "issuer": self.own.url,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/jwks",
            "revocation_endpoint": f"{at}/revoke",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "tls_client_certificate_bound_access_tokens": True,
            "authorization_response_iss_parameter_supported": True,
            **{f"{endpoint}_endpoint_{name}": value for endpoint in ("token", "revocation") for name, value in signing.items()},
        }
