"""The admin API about people: /subjects (role security) and /tokens/reveal. A person is named in the body, so that no proxy's log has it.

Decides who may; what is then done is in privacy.py. A caller of one tenant meets the people of that tenant only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from flask import Blueprint, Response, request

from wrapper import json_body
from wrapper.audit.trail import Audit
from wrapper.edge import SEEN, Reply
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

    def desk(who: Caller, said: dict[str, Any]) -> Desk:
        return Desk(store, audit, who.principal, said.get("why", ""))

    def about(scope: str, act: Callable[[Desk, Subject], dict[str, Any]]) -> Callable[[], Response]:
        def view() -> Response:
            who = caller()
            need(who, scope)
            said = _said("kind", "value", "why")
            if not (said.get("kind") and said.get("value")):
                raise Invalid('say whom it is about: {"kind": "customer", "value": "..."}')
            return _json(act(desk(who, said), Subject(said["kind"], said["value"], who.tenant)))

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
            raise Forbidden("this needs a caller with a purpose")
        body = json_body.parse(request.get_data(), request.mimetype)
        tokens, why = body.get("tokens"), body.get("why", "")
        if set(body) - {"tokens", "why"} or not isinstance(tokens, list) or not all(isinstance(text, str) for text in (why, *tokens)):
            raise Invalid('the body is like {"tokens": ["tk1_..."], "why": "..."}')
        return _json({"values": desk(who, body).reveal(tokens, who.tenant, purpose, request.environ[SEEN].trace)})

    return api


def _said(*names: str) -> dict[str, str]:
    """The body: an object of texts."""
    body = json_body.parse(request.get_data(), request.mimetype)
    if set(body) - set(names) or not all(isinstance(value, str) for value in body.values()):
        raise Invalid(f"the body has {', '.join(names)}, and each is text")
    return dict(body)


def _json(body: dict[str, Any]) -> Response:
    return Reply(orjson.dumps(body, default=str), content_type="application/json")
