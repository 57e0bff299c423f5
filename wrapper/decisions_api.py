"""Decisions over HTTP, under /decisions: what was decided and why, asking for a review by a person, and that person's answer. Decides
nothing: who may do what is in decisions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, request

from wrapper import json_body
from wrapper.decisions import Decisions
from wrapper.edge import Reply
from wrapper.policy.keys import Caller
from wrapper.problems import Invalid


def blueprint(decisions: Decisions, caller: Callable[[], Caller]) -> Blueprint:
    """`caller` authenticates the request."""
    api = Blueprint("decisions", __name__, url_prefix="/decisions")

    @api.get("")
    def listed() -> Response:
        return _json(decisions.open(caller(), request.args.get("review", "open")))

    @api.get("/<id>")
    def shown(id: str) -> Response:
        return _json(decisions.shown(id, caller()))

    @api.post("/<id>/review")
    def review(id: str) -> Response:
        return _json(decisions.ask(id, caller(), _said("words")["words"]))

    @api.post("/<id>/outcome")
    def outcome(id: str) -> Response:
        who, said = caller(), _said("outcome", "why")
        return _json(decisions.end(id, who, said["outcome"], said["why"]))

    return api


def _said(*names: str) -> Mapping[str, str]:
    """The body: an object with exactly these texts."""
    body = json_body.parse(request.get_data(), request.mimetype)
    if body.keys() != set(names) or not all(isinstance(value, str) for value in body.values()):
        raise Invalid(f"the body is an object with {' and '.join(names)}, texts, and nothing else")
    return body


def _json(body: Mapping[str, Any]) -> Response:
    return Reply(orjson.dumps(body), content_type="application/json")
