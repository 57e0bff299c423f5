"""Operations -> OpenAPI 3.1. Amounts are strings with a decimal pattern: a JSON number would be a float in most clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from wrapper import offered
from wrapper.access import Access
from wrapper.convert import DIGITS
from wrapper.offered import problem
from wrapper.operation import Catalogue, Field, Migration, Operation

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
_SCORE = {
    "type": "object",
    "required": ["model", "version", "value"],
    "properties": {"model": {"type": "string"}, "version": {"type": "string"}, "value": {"type": "number"}},
}
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "description": "ISO 8601; without an offset it is the back end's own local time"},
}
PRINTABLE = r"^[^\x00-\x1F\x7F]*$"
_REFUSALS = {
    "400": "not understood",
    "401": "no valid credential",
    "403": "not allowed",
    "404": "no such thing",
    "422": "values not acceptable",
    "429": "too many requests, or too many failed logins; Retry-After says when to come again",
}
_FAILURES = {"500": "Figway failed", "502": "the back end failed or was misread", "503": "unavailable, ask later", "504": "not in time"}


def document(catalogue: Catalogue, access: Access) -> dict[str, Any]:
    """The whole description, JSON-ready."""
    schemes = _schemes(catalogue, access)
    paths: dict[str, dict[str, Any]] = {}
    for operation in catalogue.operations.values():
        told = {**_operation(operation), "security": _security(schemes, [operation.auth.scope] if operation.auth.scope else [])}
        paths.setdefault(operation.path, {})[operation.method.lower()] = told
    paths["/jobs/{id}"] = {"get": _jobs()}
    offered.add(paths)
    paths["/health/systems"] = {"get": _systems()}
    paths["/health/live"] = {"get": _health("live", "The process runs")}
    paths["/health/ready"] = {"get": _health("ready", "The facade takes requests; asks no back end")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Figway", "version": catalogue.hash[:12], "description": "A REST facade. Amounts are strings."},
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM, "Score": _SCORE},
            "securitySchemes": schemes,
        },
        "security": _security(schemes, []),
    }


def _schemes(catalogue: Catalogue, access: Access) -> dict[str, Any]:
    """How a caller may show who it is: any one of these."""
    schemes: dict[str, Any] = {"key": {"type": "http", "scheme": "bearer", "description": "an API key (fw_...), or an access token"}}
    if access.issuers:
        named = ", ".join(issuer.issuer for issuer in access.issuers.values())
        schemes["token"] = {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": f"an access token (RFC 9068) of {named}",
        }
    if access.issuer is not None:
        at = f"{access.issuer.url}/oauth"
        scopes = {operation.auth.scope: "" for operation in catalogue.operations.values() if operation.auth.scope}
        code = {"authorizationUrl": f"{at}/authorize", "tokenUrl": f"{at}/token", "refreshUrl": f"{at}/token", "scopes": scopes}
        flows = {"clientCredentials": {"tokenUrl": f"{at}/token", "scopes": scopes}, "authorizationCode": code}
        about = "an access token of the embedded issuer, with PKCE; it knows no client secrets: leave client_secret empty"
        schemes["oauth"] = {"type": "oauth2", "flows": flows, "description": about}
    if access.certificates:
        schemes["certificate"] = {"type": "mutualTLS", "description": "a client certificate that is registered"}
    return schemes


def _security(schemes: Mapping[str, Any], scopes: list[str]) -> list[dict[str, list[str]]]:
    return [{name: scopes if name == "oauth" else []} for name in schemes]


def _operation(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.group or operation.owner],
        "parameters": [_parameter(p.where, p.field, operation) for p in operation.params if p.where != "body"] + _own_headers(operation),
        "responses": _responses(operation),
    }
    body = [p.field for p in operation.params if p.where == "body"]
    if body:
        shown = [{f.name: e.request[f.name] for f in body if f.name in e.request} for e in operation.examples[:1]]
        media = {"schema": _object(body, sent=True), **_given(example=shown[0] if shown else None)}
        made["requestBody"] = {"required": True, "content": {"application/json": media}}
    if operation.auth.scope:
        made["description"] = f"Needs the scope `{operation.auth.scope}`."
    told = operation.migration
    return made if told is None or told.deprecated is None else {**made, "deprecated": True}


def _responses(operation: Operation) -> dict[str, Any]:
    row = _object(operation.fields)
    data = {"type": "array", "items": row} if operation.shape == "items" else row
    deferred = operation.legacy is not None and operation.legacy.deferred
    ok = {"200": {"description": "the answer", "content": {"application/json": {"schema": _envelope(data, operation)}}}}
    later = {"202": {"description": "taken; the answer will be at Location", "content": {"application/json": {"schema": _envelope({})}}}}
    conflict = {"409": "in flight, or changed by somebody else", "412": "not as expected"} if operation.effect == "write" else {}
    bodied = {"413": "the body is too large", "415": "not application/json"} if any(p.where == "body" for p in operation.params) else {}
    problems = {code: problem(text) for code, text in {**_REFUSALS, **conflict, **bodied, **_FAILURES, **_ending(operation)}.items()}
    announced = _announced(operation)
    return {code: {**told, **announced} for code, told in {**ok, **(later if deferred else {}), **problems}.items()}


def _ending(operation: Operation) -> dict[str, str]:
    """What is refused towards the end of an endpoint's life."""
    told = operation.migration or Migration()
    gone = {"410": "switched off; Link leads to what comes after"} if told.deprecated or told.highest == "retired" else {}
    spans = ", ".join("/".join(f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}" for at in span) for span in told.brown_outs)
    return {**gone, **({"503": f"{_FAILURES['503']}; brown-outs on purpose: {spans}"} if spans else {})}


def _announced(operation: Operation) -> dict[str, Any]:
    """The headers of all answers of an endpoint that is to end."""
    told = operation.migration or Migration()
    said = {
        "Deprecation": (
            told.deprecated,
            "since when, or from when on, nobody should begin to use this: @ and seconds since 1970 (RFC 9745)",
        ),
        "Sunset": (told.sunset, "from when on this may be switched off (RFC 8594)"),
        "Link": (told.successor, 'what comes after this, as rel="successor-version"'),
    }
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, (value, text) in said.items() if value is not None}
    return {"headers": headers} if headers else {}


def _envelope(data: Mapping[str, Any], operation: Operation | None = None) -> dict[str, Any]:
    """A score that can't be given is null, with the reason in `meta.not_scored`."""
    one: dict[str, Any] = {"oneOf": [{"$ref": "#/components/schemas/Score"}, {"type": "null"}]}
    score: dict[str, Any] = {"type": "null"}
    if operation is not None and operation.scoring is not None:
        score = {"type": "array", "items": one} if operation.scoring.per_row else one
    return {
        "type": "object",
        "required": ["data", "score", "meta"],
        "properties": {"data": data, "score": score, "meta": {"type": "object"}},
    }


def header(name: str) -> str:
    """The header that carries a header parameter: `branch_code` is sent as `branch-code`, since servers drop names with an underscore."""
    return name.replace("_", "-")


def _parameter(where: str, field: Field, operation: Operation) -> dict[str, Any]:
    name = header(field.name) if where == "header" else field.name
    made: dict[str, Any] = {"name": name, "in": where, "required": not field.optional, "schema": _schema(field, nullable=False)}
    shown = next((e.request[field.name] for e in operation.examples if field.name in e.request), None)
    return {**made, **_given(description=field.summary or None, example=shown)}


def _own_headers(operation: Operation) -> list[dict[str, Any]]:
    headers: list[tuple[str, bool, str, dict[str, Any]]] = []
    if operation.effect == "write":
        visible = {"type": "string", "pattern": "^[!-~]{1,255}$"}
        headers.append(("Idempotency-Key", True, "a new value for each write, the same for a repeat", visible))
    if operation.legacy is not None and operation.legacy.deferred:
        headers.append(("Prefer", False, "wait=5 waits up to 5 seconds for the answer", {"type": "string"}))
    if operation.auth.purposes:
        headers.append(("Figway-Purpose", False, "what the data is for", {"type": "string", "enum": list(operation.auth.purposes)}))
    return [{"name": n, "in": "header", "required": r, "description": d, "schema": schema} for n, r, d, schema in headers]


def _object(fields: Sequence[Field], sent: bool = False) -> dict[str, Any]:
    """`sent` is for requests, whose lists are not empty."""
    required = [f.name for f in fields if not f.optional and (sent or f.mask != "drop")]
    made: dict[str, Any] = {"type": "object", "properties": {f.name: _schema(f, sent=sent) for f in fields}, "additionalProperties": False}
    return {**made, "required": required} if required else made


def _schema(field: Field, nullable: bool = True, sent: bool = False) -> dict[str, Any]:
    made = _bare(field, sent)
    if field.mask in ("hidden", "hmac", "initials", "last4", "token") and not sent:
        made = {"type": ["string", made["type"]] if made["type"] in ("integer", "boolean") else "string"}
    said = "; ".join(filter(None, (field.summary, _masked(field) if field.mask and not sent else "")))
    if said:
        made["description"] = said
    if nullable and field.optional:
        made["type"] = [*(made["type"] if isinstance(made["type"], list) else [made["type"]]), "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    return made


def _masked(field: Field) -> str:
    how = "left out" if field.mask == "drop" else f"masked ({field.mask})"
    return f"{how} for callers who have not the scope {' or '.join(field.shown_to)}"


def _bare(field: Field, sent: bool) -> dict[str, Any]:
    match field.type:
        case "list":
            least = 1 if sent and not field.optional else None
            return {"type": "array", "items": _object(field.of, sent), **_given(minItems=least, maxItems=field.most)}
        case "object":
            return _object(field.of, sent)
        case "decimal":
            said = {"description": f"an amount in {field.currency}"} if field.currency else {}
            shown = f"{1234.56:.{2 if field.scale is None else field.scale}f}"
            return {"type": "string", "format": "decimal", "pattern": _decimal(field.scale, sent), "examples": [shown], **said}
    pattern = f"^(?:{field.pattern})$" if field.pattern else PRINTABLE if sent and field.type == "string" and not field.one_of else None
    limits = _given(pattern=pattern, minLength=field.min_length, maxLength=field.max_length)
    bounds = _given(minimum=_whole(field.minimum), maximum=_whole(field.maximum)) if field.type == "integer" else {}
    return {**_TYPES[field.type], **_given(enum=list(field.one_of) or None), **limits, **bounds}


def _decimal(scale: int | None, sent: bool) -> str:
    """Of an answer's amounts, or of a request's: there zeros at the end may be left out, and digits are no more than any amount has."""
    if sent:
        most = 10 if scale is None else scale
        return rf"^-?\d{{1,{DIGITS - most}}}" + (rf"(\.\d{{1,{most}}})?$" if most else "$")
    return r"^-?\d+" + (r"(\.\d+)?$" if scale is None else rf"\.\d{{{scale}}}$" if scale else "$")


def _given(**said: Any) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}


def _whole(number: Any) -> int | None:
    return None if number is None else int(number)


def _jobs() -> dict[str, Any]:
    return {
        "operationId": "jobs",
        "summary": "A deferred request's state, and its answer once there is one",
        "tags": ["jobs"],
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9A-Z]{12}$"}}],
        "responses": {
            "200": {"description": "the job", "content": {"application/json": {"schema": _envelope({})}}},
            **{code: problem(_REFUSALS[code]) for code in ("400", "401", "403", "429")},
            "404": problem("no such job of yours"),
            "410": problem("its answer is not kept any more"),
            "503": problem(_FAILURES["503"]),
        },
    }


def _systems() -> dict[str, Any]:
    states = {"type": "object", "additionalProperties": {"type": "string"}}
    answer = {"application/json": {"schema": {"type": "object", "required": ["systems"], "properties": {"systems": states}}}}
    return {
        "operationId": "health.systems",
        "summary": "Asks every back end whether it is there",
        "description": "Needs the scope `health:read`.",
        "tags": ["health"],
        "responses": {
            "200": {"description": "all are up", "content": answer},
            "503": {"description": "at least one is not", "content": answer},
            **{code: problem(_REFUSALS[code]) for code in ("401", "403", "429")},
        },
    }


def _health(name: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": f"health.{name}", "summary": summary, "tags": ["health"], "security": [],
        "responses": {"200": {"description": name}},
    }  # fmt: skip
