"""The admin API about people: /subjects (role security) and /tokens/reveal. A person is named in the body, so that no proxy's log has it.

Decides who may; what is then done is in privacy.py. A caller of one tenant meets the people of that tenant only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from wrapper.audit.trail import Audit
from wrapper.edge import SEEN, as_json, said
from wrapper.operation import Auth
from wrapper.policy.keys import Caller, authorise, need
from wrapper.privacy import Desk
from wrapper.problems import Forbidden, Invalid
from wrapper.state.store import Store
from wrapper.subjects import Subject

REPORT, ERASE, HOLD, REVEAL = "subjects:report", "subjects:erase", "subjects:hold", "pii:reveal"


def blueprint(store: Store, audit: Audit, caller: Callable[[], Caller]) -> Blueprint:
    """`caller` authenticates the request."""
    api = Blueprint("privacy", __name__)

    def desk(who: Caller, body: dict[str, Any]) -> Desk:
        return Desk(store, audit, who.principal, "api", body.get("why", ""))

    def about(scope: str, act: Callable[[Desk, Subject], dict[str, Any]]) -> Callable[[], Response]:
        def view() -> Response:
            who = caller()
            need(who, scope)
            body = said(kind=str, value=str, why=str)
            if not (body.get("kind") and body.get("value")):
                raise Invalid('say whom it is about: {"kind": "customer", "value": "..."}')
            return as_json(act(desk(who, body), Subject(body["kind"], body["value"], who.tenant)))

        return view

    for name, scope, act in (
        ("report", REPORT, lambda desk, subject: desk.report(subject)),
        ("erase", ERASE, lambda desk, subject: desk.erase(store.fingerprint(subject))),
        ("hold", HOLD, lambda desk, subject: desk.hold(store.fingerprint(subject))),
        ("release", HOLD, lambda desk, subject: desk.release(store.fingerprint(subject))),
    ):
        api.add_url_rule(f"/subjects/{name}", name, about(scope, act), methods=["POST"])

    @api.post("/tokens/reveal")
    def reveal() -> Response:
        who = caller()
        purpose = authorise(Auth(REVEAL, purposes=tuple(sorted(who.purposes))), who, request.headers.get("Figway-Purpose"))
        if not purpose:
            raise Forbidden("this needs a caller that was given a purpose")
        body = said(tokens=list, why=str)
        tokens = body.get("tokens")
        if tokens is None or not all(isinstance(token, str) for token in tokens):
            raise Invalid('the body is like {"tokens": ["tk1_..."], "why": "..."}')
        return as_json({"values": desk(who, body).reveal(tokens, who.tenant, purpose, request.environ[SEEN].trace)})

    return api
