"""Decisions over HTTP, under /decisions: what was decided and why, asking for a review by a person, and that person's answer. Decides
nothing: who may do what is in decisions.py.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from wrapper.decisions import Decisions
from wrapper.edge import as_json, said
from wrapper.policy.keys import Caller
from wrapper.problems import Invalid


def blueprint(decisions: Decisions, caller: Callable[[], Caller]) -> Blueprint:
    """`caller` authenticates the request."""
    api = Blueprint("decisions", __name__, url_prefix="/decisions")

    @api.get("")
    def listed() -> Response:
        asked = request.args.to_dict()
        if more := asked.keys() - {"review", "model", "since", "before"}:
            raise Invalid(f"decisions are listed by review, model, since and before, and {len(more)} more was met")
        return as_json(decisions.open(caller(), **{"review": "open", **asked}))

    @api.get("/<id>")
    def shown(id: str) -> Response:
        return as_json(decisions.shown(id, caller()))

    @api.post("/<id>/review")
    def review(id: str) -> Response:
        return as_json(decisions.ask(id, caller(), said(words=str).get("words", "")))

    @api.post("/<id>/outcome")
    def outcome(id: str) -> Response:
        who, body = caller(), said(outcome=str, why=str)
        return as_json(decisions.end(id, who, body.get("outcome", ""), body.get("why", "")))

    return api
