"""The issuer's addresses. It turns HTTP into requests of `server.py`, and its answers back; of the issuer it alone knows Flask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from flask import Blueprint, Response, request

from wrapper.access import OwnIssuer
from wrapper.edge import SEEN, Reply, as_json
from wrapper.issuer import forms, pages, passwords
from wrapper.issuer.clients import Asked
from wrapper.issuer.server import Act, Answer, Server, Spend
from wrapper.policy.logins import LoginLimit
from wrapper.policy.proxied import PEER, address
from wrapper.state.issuer import Person
from wrapper.state.store import Store

Stranger = Callable[[str, str | None, str], None]


@dataclass(frozen=True, slots=True)
class _Door:
    """Who fails to show who they are is counted by address, and told to the audit trail."""

    logins: LoginLimit
    stranger: Stranger

    def check(self) -> None:
        """Before anything is looked up. Raises TooMany."""
        self.logins.check(address(request.environ))

    def failed(self, guess: bool = True) -> None:
        """Without a `guess` it counts for nobody's address: a code or refresh token can't be guessed, and an app's people send it any."""
        if guess:
            self.logins.failed(address(request.environ))
        self.stranger(address(request.environ), request.endpoint, request.environ[SEEN].trace)


def blueprint(own: OwnIssuer, store: Store, logins: LoginLimit, stranger: Stranger, act: Act, spend: Spend = lambda _: None) -> Blueprint:
    """All of it, under /oauth and /.well-known."""
    server, door, issuer = Server(own, store, act, spend), _Door(logins, stranger), Blueprint("issuer", __name__)
    _published(issuer, server)
    _programs(issuer, server, door)
    _people(issuer, server, door)
    return issuer


def _published(issuer: Blueprint, server: Server) -> None:
    @issuer.get("/.well-known/oauth-authorization-server")
    def metadata() -> Response:
        return as_json(server.metadata())

    @issuer.get("/oauth/jwks")
    def jwks() -> Response:
        return as_json(server.store.public_keys())


def _programs(issuer: Blueprint, server: Server, door: _Door) -> None:
    @issuer.post("/oauth/token")
    def token() -> Response:
        return _told(server, door, "token", server.create_token_response)

    @issuer.post("/oauth/revoke")
    def revoke() -> Response:
        return _told(server, door, "revoke", partial(server.create_endpoint_response, "revocation"))


def _people(issuer: Blueprint, server: Server, door: _Door) -> None:
    @issuer.get("/oauth/authorize")
    def ask() -> Response:
        try:
            asked, _ = _asked(server)
        except OAuth2Error as error:
            return _refused(server, error)
        return _page(server, asked)

    @issuer.post("/oauth/authorize")
    def decide() -> Response:
        try:
            asked, grant = _asked(server)
            form = _form()
        except OAuth2Error as error:
            return _refused(server, error)
        if not pages.holds(_secret(server), form.get("token", ""), request.cookies.get(_cookie(server)), request.query_string):
            return _page(server, asked, "The form was too old, or not from here. Please sign in again.")
        if form.get("decision") != "allow":
            return _back(server, server.create_authorization_response(asked, None, grant))
        person = _signed_in(server, door, form)
        if person is None:
            return _page(server, asked, "The name or the password is not right.")
        return _back(server, server.create_authorization_response(asked, person if server.may_serve(asked, person) else None, grant))


def _told(server: Server, door: _Door, name: str, answered: Callable[[Asked], Answer]) -> Response:
    """What a program is told. Who failed to show who they are too often waits, before anything is looked up."""
    door.check()
    try:
        asked = Asked("POST", f"{server.own.url}/oauth/{name}", _form(), request.environ.get(PEER))
        status, body, headers = answered(asked)
    except OAuth2Error as error:
        status, body, headers = server.refused(error)
    if isinstance(body, Mapping) and body.get("error") in ("invalid_client", "invalid_grant"):
        door.failed(guess=body["error"] == "invalid_client")
    response = Reply(orjson.dumps(body), status)
    response.headers.update(dict(headers))
    return response


def _asked(server: Server) -> tuple[Asked, Any]:
    """What an app asks a person for, and the grant that judges it. Raises OAuth2Error."""
    asked = Asked("GET", f"{server.own.url}/oauth/authorize", forms.fields(request.query_string), None)
    return asked, server.get_consent_grant(asked)


def _signed_in(server: Server, door: _Door, form: Mapping[str, str]) -> Person | None:
    """Whose name and password these are."""
    door.check()
    person = server.store.person(form.get("name", ""))
    if passwords.right(form.get("password", ""), None if person is None else person.password):
        return person
    door.failed()
    return None


def _page(server: Server, asked: Asked, wrong: str = "") -> Response:
    """The form, anew."""
    nonce = pages.nonce(request.cookies.get(_cookie(server)))
    back = asked.payload.redirect_uri
    shown = pages.sign_in(
        asked.payload.client_id, asked.scope.split(), back, pages.token(_secret(server), nonce, request.query_string), wrong
    )
    response = _html(shown, 403 if wrong else 200, back)
    response.set_cookie(
        _cookie(server), nonce, pages.HOLDS, path="/oauth/authorize", secure=_secure(server), httponly=True, samesite="Strict"
    )
    return response


def _refused(server: Server, error: OAuth2Error) -> Response:
    """Said to the app where it may be sent back to, else to the person."""
    if error.redirect_uri:
        return _back(server, server.refused(error))
    return _html(pages.refusal(error.get_error_description() or "It is not as it must be."), 400)


def _back(server: Server, answer: Answer) -> Response:
    """To the app, with who says so (RFC 9207)."""
    status, _, headers = answer
    location = dict(headers)["Location"]
    return Reply(b"", 303 if status == 302 else status, {"Location": add_params_to_uri(location, {"iss": server.own.url})})


def _html(page: str, status: int, back: str = "") -> Response:
    headers = {"Content-Security-Policy": pages.policy(back)}
    return Reply(page.encode(), status, headers, content_type="text/html; charset=utf-8")


def _form() -> dict[str, str]:
    """The body. Raises InvalidRequestError."""
    if request.mimetype != forms.FORM:
        raise InvalidRequestError(f"Send the body as {forms.FORM}.")
    return forms.fields(request.get_data())


def _secret(server: Server) -> bytes:
    return server.store.derived("oauth sign-in form")


def _secure(server: Server) -> bool:
    return server.own.url.startswith("https:")


def _cookie(server: Server) -> str:
    """Over TLS one that nothing but TLS can have set."""
    return f"__Secure-{pages.COOKIE}" if _secure(server) else pages.COOKIE
