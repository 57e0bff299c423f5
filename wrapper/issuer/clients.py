"""Who the client is: by a signed assertion that is used once (RFC 7523), by a certificate that is registered (RFC 8705), or, of an app on
somebody's desk, by its word alone, which PKCE and its redirect URIs make enough. There are no client secrets.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError, InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from cryptography import x509
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from wrapper.issuer.proofs import fitting, public_key
from wrapper.policy.keys import hashed
from wrapper.state.issuer import Client
from wrapper.state.store import Store

PROOFS: Mapping[str, str] = {"key": "private_key_jwt", "certificate": "self_signed_tls_client_auth", "none": "none"}
METHODS = list(PROOFS.values())
LONGEST = 3600
"""Seconds for which an assertion may hold: what Authlib's client says unless it is told otherwise. It is used once."""
LEEWAY = 30
"""Seconds by which two clocks may differ."""
_PLAIN = re.compile(r"[ !#-\[\]-~]*")


class Asked(OAuth2Request):
    """A request as Authlib wants it: its parameters, and the certificate of who is at the other end. Raises InvalidRequestError."""

    def __init__(self, method: str, uri: str, fields: dict[str, str], peer: bytes | None) -> None:
        super().__init__(method, uri)
        for name, value in fields.items():
            if name != "state" and not _PLAIN.fullmatch(value):  # nor does Authlib take others into an error's text
                raise InvalidRequestError("A parameter has characters that none of its values has.")
        self.payload, self.peer = BasicOAuth2Payload(fields), peer

    @property
    def form(self) -> dict[str, str]:
        return dict(self.payload.data)

    args = form


class Registered(ClientMixin):
    """A client's record, as Authlib asks it."""

    def __init__(self, record: Client) -> None:
        self.record, self.client_id = record, record.caller.name

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """None: it is always sent, and compared to the letter."""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.record.redirects

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """What is asked for; without a word, all that there is. None when it is more than the client is registered for."""
        asked = set(scope.split()) if scope else self.record.caller.scopes
        return " ".join(sorted(asked)) if asked <= self.record.caller.scopes else None

    def check_client_secret(self, _: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, _: str) -> bool:
        return method == PROOFS[self.record.proof]

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and bool(self.record.redirects)

    def check_grant_type(self, grant_type: str) -> bool:
        return self.record.proof != "none" if grant_type == "client_credentials" else bool(self.record.redirects)


Query = Callable[[str], Registered | None]


class Assertion(JWTBearerClientAssertion):
    """private_key_jwt: for this issuer, short-lived, with the algorithm that fits the registered key, and used once."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, store: Store, audiences: list[str]) -> None:
        super().__init__(leeway=LEEWAY)
        self._store, self._audiences = store, audiences

    def __call__(self, query_client: Query, request: Asked) -> Registered | None:
        client: Registered | None = super().__call__(query_client, request)
        if client is not None and request.form.get("client_id", client.client_id) != client.client_id:
            raise InvalidClientError("The assertion is another client's.")
        return client

    def get_audiences(self) -> list[str]:
        return self._audiences

    def resolve_client_public_key(self, client: Registered) -> Key:
        if client.record.proof != "key":
            raise InvalidClientError("The client has no key registered.")
        return public_key(client.record.material)

    def process_assertion_claims(self, assertion: str, resolve_key: Key) -> Any:
        try:
            token = jwt.decode(assertion, resolve_key, algorithms=fitting(resolve_key))
        except (JoseError, ValueError):
            raise InvalidClientError("The assertion is not signed with the client's key, by an algorithm that fits it.") from None
        self.verify_claims(token.claims)
        return token.claims

    def verify_claims(self, claims: dict[str, Any]) -> None:
        audience, until, jti = claims.get("aud"), claims.get("exp"), claims.get("jti")
        if isinstance(audience, list) and len(audience) != 1:
            raise InvalidClientError("The assertion is not for this issuer alone.")
        if not isinstance(until, int | float) or not until <= time.time() + LONGEST + LEEWAY:
            raise InvalidClientError(f"The assertion must hold for {LONGEST} seconds at most.")
        if not isinstance(jti, str) or not 8 <= len(jti) <= 128:
            raise InvalidClientError("The assertion needs a jti of 8 to 128 characters.")
        super().verify_claims(claims)  # issuer, subject, audience, expiry; and the last of all, that it was not used before

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        lasts = math.ceil(claims["exp"] - time.time()) + 2 * LEEWAY
        return self._store.first_use(hashed(f"{claims['sub']}\n{jti}"), lasts)


def by_certificate(query_client: Query, request: Asked) -> Registered | None:
    """self_signed_tls_client_auth: the very certificate that is registered, within its time."""
    client = query_client(request.form.get("client_id", ""))
    if client is None or client.record.proof != "certificate" or request.peer is None:
        return None
    if not hmac.compare_digest(hashlib.sha256(request.peer).hexdigest(), client.record.material):
        raise InvalidClientError("This is not the certificate that the client is registered with.")
    certificate, now = x509.load_der_x509_certificate(request.peer), datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise InvalidClientError("The certificate is not valid at this time.")
    return client
