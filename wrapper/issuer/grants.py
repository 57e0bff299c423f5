"""The three ways to a token: a client's own (client_credentials), a person's by way of a browser (authorization_code with PKCE), and the
next one of a person who is still signed in (refresh_token); and the way to give it back.

What is used once is taken in the store before anything is made of it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, UnsupportedTokenTypeError, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge

from wrapper.issuer.clients import METHODS, Registered
from wrapper.issuer.minting import known, principal
from wrapper.policy.keys import hashed
from wrapper.state.issuer import Grant

if TYPE_CHECKING:
    from wrapper.issuer.server import Server

CODE = 60.0
"""Seconds within which a code is to be redeemed."""
Answered = tuple[int, Any, Any]


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def create_token_response(self) -> Answered:
        self.server.spend(known(self.client.record.caller))  # not before it has shown who it is: nobody spends another's
        token = self.server.token(self.request, None, self.client.get_allowed_scope(self.request.payload.scope))
        return 200, token, self.TOKEN_RESPONSE_HEADER


class Code:
    """A code that was handed in, as Authlib asks it."""

    def __init__(self, code: str, grant: Grant) -> None:
        self.digest, self.grant, self.code_challenge, self.code_challenge_method = hashed(code), grant, grant.challenge, "S256"

    def get_redirect_uri(self) -> str:
        return self.grant.redirect


class AuthorizationCode(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    server: Server

    def generate_authorization_code(self) -> str:
        return secrets.token_urlsafe(32)

    def save_authorization_code(self, code: str, request: Any) -> None:
        """The scopes are what the client asks for and the person has."""
        scopes = frozenset(request.scope.split()) & request.user.caller.scopes
        kept = request.payload.redirect_uri, request.payload.data["code_challenge"]
        self.server.act(principal(request.user.caller), "sign-in", client=request.client.client_id, scopes=sorted(scopes))
        self.server.store.add_code(hashed(code), Grant(request.client.client_id, request.user.caller.name, scopes, *kept), CODE)

    def query_authorization_code(self, code: str, client: Registered) -> Code | None:
        grant = self.server.store.code(hashed(code))
        return Code(code, grant) if grant is not None and grant.client == client.client_id else None

    def create_token_response(self) -> Answered:
        code: Code = self.request.authorization_code
        person = self.server.person(code.grant.person)
        refresh = Refresh.fresh()
        if not self.server.store.redeem(code.digest, refresh.family, refresh.digest, self.server.own.refresh):
            raise InvalidGrantError("The code was used before; what it gave is revoked.")
        token = self.server.token(self.request, person, " ".join(code.grant.scopes))
        return 200, {**token, "refresh_token": refresh.text}, self.TOKEN_RESPONSE_HEADER


class Pkce(CodeChallenge):
    """Always, and by S256."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    DEFAULT_CODE_CHALLENGE_METHOD = "S256"

    def validate_code_challenge(self, grant: Any, redirect_uri: Any) -> None:
        sent = grant.request.payload.data
        if not sent.get("code_challenge") or sent.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE is needed: a code_challenge with code_challenge_method=S256.")
        super().validate_code_challenge(grant, redirect_uri)


class Refresh:
    """A refresh token: which family it is of, and the secret that makes it the good one."""

    def __init__(self, text: str) -> None:
        self.text, self.family, self.digest = text, text.partition(".")[0], hashed(text)

    @classmethod
    def fresh(cls, family: str = "") -> Refresh:
        return cls(f"{family or secrets.token_urlsafe(16)}.{secrets.token_urlsafe(32)}")


class Held:
    """A refresh token that was handed in, and what its family may have."""

    def __init__(self, token: Refresh, grant: Grant) -> None:
        self.token, self.grant = token, grant

    def check_client(self, client: Registered) -> bool:
        return self.grant.client == client.client_id

    def get_scope(self) -> str:
        return " ".join(self.grant.scopes)


class RefreshToken(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    server: Server

    def authenticate_refresh_token(self, refresh_token: str) -> Held:
        held = self.server.held(refresh_token)
        if held is None:
            raise InvalidGrantError("The refresh token has ended, or is none: sign in again.")
        return held

    def create_token_response(self) -> Answered:
        """The one good token is exchanged for another; any other of its family is a stolen one or its rightful twin, and ends them all."""
        held: Held = self.request.refresh_token
        person = self.server.person(held.grant.person)
        refresh = Refresh.fresh(held.token.family)
        if not self.server.store.renew(held.token.family, held.token.digest, refresh.digest):
            raise InvalidGrantError("The refresh token was used before; all of its family are revoked.")
        token = self.server.token(self.request, person, self.request.payload.scope or held.get_scope())
        return 200, {**token, "refresh_token": refresh.text}, self.TOKEN_RESPONSE_HEADER


class NotRevocable(UnsupportedTokenTypeError):
    status_code = 400
    description = "An access token ends by itself, within minutes; refresh tokens are revoked."


class Revocation(RevocationEndpoint):
    """Of refresh tokens (RFC 7009)."""

    CLIENT_AUTH_METHODS = METHODS
    server: Server

    def check_params(self, request: Any, client: Registered) -> None:
        super().check_params(request, client)
        if request.form.get("token_type_hint") == "access_token" or request.form["token"].count(".") == 2:
            raise NotRevocable

    def query_token(self, token: str, _: str | None) -> Held | None:
        return self.server.held(token)

    def revoke_token(self, token: Held, _: Any) -> None:
        self.server.act(principal(self.server.person(token.grant.person).caller), "sign-out", client=token.grant.client)
        self.server.store.end_family(token.token.family)
