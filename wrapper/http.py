"""The REST facade: Flask routes from the catalogue, health, jobs, and the docs page.

With app.py the only file that knows Flask. A view turns HTTP into a Request, asks Service.serve, and turns the Answer or the
error back into HTTP; hooks carry the request id, security headers and the log line, nothing that decides.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, g, request
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.exceptions import HTTPException

from wrapper import json_body, log, openapi
from wrapper.operation import Operation
from wrapper.policy.keys import Caller
from wrapper.policy.known import Known
from wrapper.problems import Forbidden, NoSuchThing, NotReady, RequestError, problem
from wrapper.request import Answer, Given, Request
from wrapper.service import Service
from wrapper.state.store import Store
from wrapper.systems import Systems
from wrapper.telemetry import Telemetry

MAX_BODY = 1024 * 1024
MAX_WAIT = 30.0
_TRACE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'",
}


def install(app: Flask, service: Service, systems: Systems, store: Store, telemetry: Telemetry) -> None:
    """All routes and hooks of one catalogue on a fresh Flask app."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    known = Known(store)
    app.before_request(partial(_begin, telemetry))
    app.after_request(partial(_end, telemetry))
    app.register_error_handler(Exception, _failed)
    for operation in service.catalogue.operations.values():
        rule = re.sub(r"\{(\w+)\}", r"<\1>", operation.path)
        app.add_url_rule(rule, operation.name, _view(service, operation, known), methods=[operation.method])
    app.add_url_rule("/jobs/<id>", "jobs", lambda id: _respond(_job(service, known, id)))
    app.register_blueprint(_health(systems, store, known))
    document = orjson.dumps(openapi.document(service.catalogue))
    app.add_url_rule("/openapi.json", "openapi", lambda: Response(document, mimetype="application/json"))
    app.register_blueprint(get_swaggerui_blueprint("/docs", "/openapi.json", config={"app_name": "Figway", "validatorUrl": None}))


def _view(service: Service, operation: Operation, known: Known) -> Callable[..., Response]:
    body_names = {p.field.name for p in operation.params if p.where == "body"}
    header_names = {p.field.name: openapi.header(p.field.name) for p in operation.params if p.where == "header"}

    def view(**path: str) -> Response:
        caller = _caller(known)
        body = json_body.parse(request.get_data(), request.mimetype) if body_names or request.content_length else {}
        header = {name: request.headers[sent] for name, sent in header_names.items() if sent in request.headers}
        asked = Request(
            caller=caller,
            given=Given(path, _query(), header, body),
            trace=g.trace,
            purpose=request.headers.get("Figway-Purpose"),
            idempotency_key=request.headers.get("Idempotency-Key"),
            wait=_wait(request.headers.get("Prefer", "")),
            fresh="no-cache" in request.headers.get("Cache-Control", ""),
        )
        answer = service.serve(operation, asked)
        g.side = _side(answer)
        return _unless_known(answer) if operation.method == "GET" else _respond(answer)

    return view


def _job(service: Service, known: Known, id: str) -> Answer:
    found = service.job(id, _caller(known))
    if found is None:
        raise NoSuchThing("there is no such job, or it is not yours")
    return found


def _health(systems: Systems, store: Store, known: Known) -> Blueprint:
    """Liveness and readiness never ask a back end: a sick mainframe must not take the facade out of the balancer."""
    health = Blueprint("health", __name__, url_prefix="/health")

    @health.get("/live")
    def live() -> Response:
        return _json({"status": "live"})

    @health.get("/ready")
    def ready() -> Response:
        store.ping()
        return _json({"status": "ready"})

    @health.get("/systems")
    def all_systems() -> Response:
        if "health:read" not in _caller(known).scopes:
            raise Forbidden("this needs the scope health:read")
        states = systems.probe(2.0)
        return _json({"systems": states}, 200 if all(s in ("up", "closed") for s in states.values()) else 503)

    return health


def _caller(known: Known) -> Caller:
    caller = known.caller(request.headers.get("Authorization"))
    g.caller = caller.name
    return caller


def _query() -> dict[str, Any]:
    """One value a name: a repeated one is ambiguous and refused."""
    twice = [name for name in request.args if len(request.args.getlist(name)) > 1]
    if twice:
        raise RequestError(f"the query names {', '.join(sorted(twice))} more than once")
    return dict(request.args)


def _wait(prefer: str) -> float:
    """Seconds of `Prefer: wait=N` (RFC 7240), at most MAX_WAIT; other preferences are ignored, as the RFC says."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,5})\"?", prefer, re.ASCII)
    return min(float(found[1]), MAX_WAIT) if found else 0.0


def _side(answer: Answer) -> str:
    """Which side has answered; nothing for a join, or a job that was taken."""
    sources = answer.body["meta"].get("sources", ())
    return str(sources[0].get("side", "")) if sources else ""


def _begin(telemetry: Telemetry) -> None:
    sent = request.headers.get("X-Request-Id", "")
    g.trace = sent if _TRACE.fullmatch(sent) else secrets.token_hex(8)
    g.began = time.monotonic()
    g.caller, g.side = None, ""
    g.served = telemetry.begin(request.endpoint, request.headers.get)


def _end(telemetry: Telemetry, response: Response) -> Response:
    elapsed = time.monotonic() - g.began
    response.headers["X-Request-Id"] = g.trace
    response.headers["Server-Timing"] = f"total;dur={elapsed * 1000:.1f}"
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.path.startswith(("/health", "/docs")):
        telemetry.end(
            g.served, request.method, request.endpoint, g.side, response.status_code, elapsed, caller=g.caller, request_id=g.trace
        )
    return response


def _failed(error: Exception) -> Response:
    """Every error as a problem; only what is not a RequestError, an AdapterError or Flask's own leaves a stack trace in the log."""
    if isinstance(error, HTTPException):
        error = _from_flask(error)
    shown = problem(error, g.trace)
    if shown.status == 500:
        log.get().error("failed", endpoint=request.endpoint, request_id=g.trace, exc_info=error)
    try:
        response = _json(shown.body, shown.status, "application/problem+json")
    except TypeError:  # a name or text that JSON can't carry; to fail here would hand the path, with its keys, to Flask's own log
        response = _json({"title": shown.body["title"], "status": shown.status}, shown.status, "application/problem+json")
    response.headers.update(shown.headers)
    return response


def _from_flask(error: HTTPException) -> RequestError:
    match error.code:
        case 404:
            return NoSuchThing("no endpoint has this path; /docs lists them")
        case 503:
            return NotReady("the facade is shutting down")
    made = RequestError(error.description or error.name)
    made.status, made.title = error.code or 400, error.name
    if error.code == 405 and getattr(error, "valid_methods", None):
        made.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
    return made


def _respond(answer: Answer) -> Response:
    response = _json(answer.body, answer.status)
    response.headers.update(answer.headers)
    return response


def _unless_known(answer: Answer) -> Response:
    """A read, under a strong ETag of what this caller may see; 304 when the caller has that already (RFC 9110, 13.1.2)."""
    response = _respond(answer)
    tag = hashlib.blake2b(response.data, digest_size=12).hexdigest()
    response.headers["ETag"] = f'"{tag}"'
    if "If-None-Match" in request.headers and request.if_none_match.contains_weak(tag):
        response.status_code = 304
        response.set_data(b"")
    return response


def _json(body: Mapping[str, Any], status: int = 200, mimetype: str = "application/json") -> Response:
    return Response(orjson.dumps(body), status, mimetype=mimetype)
