"""What Figway itself offers beside the catalogue's endpoints and jobs, as the OpenAPI description has it: decisions and people's data.

A line for each address. It knows nobody who answers there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PROBLEMS: Mapping[int, str] = {
    400: "not understood", 401: "no valid credential", 403: "not allowed", 404: "no such thing, or not yours",
    409: "not possible as things are; `errors` say why", 413: "the body is too large", 415: "not application/json",
    422: "values not acceptable", 429: "too many failed logins; Retry-After says when to come again", 503: "unavailable, ask later",
}  # fmt: skip
_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_SAID = {"type": "string", "minLength": 1, "maxLength": 4000, "pattern": r"\S"}
_WHY = {"type": "string", "description": "for the audit trail: the number of a case, and nobody's name"}
_WHOM = {"kind": {"type": "string", "minLength": 1}, "value": {"type": "string", "minLength": 1}, "why": _WHY}
_TOKENS = {"type": "array", "items": {"type": "string"}, "maxItems": 100}
_REVIEW = {"name": "review", "in": "query", "required": False, "schema": {"type": "string", "enum": ["open", "upheld", "overturned"]}}
_PURPOSE = {"name": "Figway-Purpose", "in": "header", "required": False, "schema": {"type": "string"}, "description": "what it is for"}


@dataclass(frozen=True, slots=True)
class Offered:
    """An address; `body` are the members of what is sent, those of `optional` may be left out."""

    method: str
    path: str
    summary: str
    scope: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    params: tuple[Mapping[str, Any], ...] = ()


OFFERED = (
    Offered("get", "/decisions", "Decisions in a state of review, the newest first", "decisions:review", params=(_REVIEW,)),
    Offered("get", "/decisions/{id}", "A decision by a model's score, with its reasons: for who made it, and for reviewers"),
    Offered("post", "/decisions/{id}/review", "Ask for a review by a person, in the words of whom it concerns", body={"words": _SAID}),
    Offered(
        "post", "/decisions/{id}/outcome", "What a reviewer makes of it", "decisions:review",
        {"outcome": {"type": "string", "enum": ["upheld", "overturned"]}, "why": _SAID},
    ),
    Offered("post", "/subjects/report", "All that is kept of a person (GDPR 15)", "subjects:report", _WHOM, ("why",)),
    Offered("post", "/subjects/erase", "Erase all that is kept of a person (GDPR 17)", "subjects:erase", _WHOM, ("why",)),
    Offered("post", "/subjects/hold", "Keep all of a person, whoever asks", "subjects:hold", {**_WHOM, "why": {**_WHY, "minLength": 1}}),
    Offered("post", "/subjects/release", "End the hold", "subjects:hold", _WHOM, ("why",)),
    Offered(
        "post", "/tokens/reveal", "The values that tokens stand for", "pii:reveal", {"tokens": _TOKENS, "why": _WHY}, ("why",), (_PURPOSE,),
    ),
)  # fmt: skip


def problem(text: str) -> dict[str, Any]:
    """A refusal, as an answer's description."""
    return {"description": text, "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def add(paths: dict[str, dict[str, Any]]) -> None:
    """All of them, to the paths of a description."""
    for each in OFFERED:
        paths.setdefault(each.path, {})[each.method] = _told(each)


def _told(of: Offered) -> dict[str, Any]:
    ids = [{"name": "id", "in": "path", "required": True, "schema": _ID}] if "{id}" in of.path else []
    codes = [400, 401, 403, 422, 429, 503, *([404] if ids else []), *([409, 413, 415] if of.body else [])]
    answer = {"description": "done", "content": {"application/json": {"schema": {"type": "object"}}}}
    made = {
        "operationId": ".".join(re.findall(r"\w+", of.path.replace("{id}", "" if of.method == "post" else "one"))),
        "summary": of.summary,
        "tags": [of.path.split("/")[1]],
        "parameters": [*ids, *of.params],
        "responses": {"200": answer, **{str(code): problem(PROBLEMS[code]) for code in sorted(codes)}},
    }
    if of.scope:
        made["description"] = f"Needs the scope `{of.scope}`."
    if of.body:
        needed = [name for name in of.body if name not in of.optional]
        schema = {"type": "object", "properties": of.body, "required": needed, "additionalProperties": False}
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return made
