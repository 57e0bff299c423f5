"""The REST facade: Flask routes from the catalogue, health, jobs, and the docs page.

Which files know Flask is a contract in pyproject.toml. A view turns HTTP into a Request, asks Service.serve, and turns the
Answer or the error back into HTTP; what edge.py and the hook add (request id, security headers, log line) decides nothing.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, after_this_request, request
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.exceptions import HTTPException

from wrapper import decisions_api, json_body, log, migrate_api, openapi, privacy_api, retiring
from wrapper.access import Access
from wrapper.edge import SEEN, Reply, Seen, as_json, sent
from wrapper.operation import Operation, Side
from wrapper.policy import proxied
from wrapper.policy.keys import Caller, need
from wrapper.policy.known import Known
from wrapper.policy.logins import LoginLimit
from wrapper.policy.peers import Certificates
from wrapper.policy.tokens import Tokens, trusted
from wrapper.problems import NoSuchThing, NotReady, RequestError, Unauthenticated, problem
from wrapper.request import Answer, Given, Request
from wrapper.service import Service
from wrapper.state.store import Store
from wrapper.systems import Systems
from wrapper.telemetry import Telemetry

MAX_BODY = 1024 * 1024
MAX_WAIT = 30.0
_BODYLESS = (None, "", "0")
Login = Callable[[Mapping[str, Any]], Caller]
"""A request's environ -> its caller."""


def install(app: Flask, service: Service, systems: Systems, store: Store, telemetry: Telemetry, access: Access) -> None:
    """All routes and hooks of one catalogue on a fresh Flask app."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    tokens = Tokens(trusted(access, store.public_keys))
    tokens.warm()
    logins = LoginLimit(telemetry.metrics)
    login = partial(_login, Known(store, tokens, Certificates(access.certificates)), logins)
    counted = partial(_counted, service, login)
    app.before_request(lambda: proxied.place(access.proxy, request.environ))
    if telemetry.tracing is not None:
        app.before_request(partial(_begin, telemetry))
    app.after_request(partial(_end, telemetry))
    app.register_error_handler(Exception, partial(_failed, service))
    for operation in service.catalogue.operations.values():
        rule = re.sub(r"\{(\w+)\}", r"<\1>", operation.path)
        app.add_url_rule(rule, operation.name, _announcing(operation, _view(service, operation, login)), methods=[operation.method])
    app.add_url_rule("/jobs/<id>", "jobs", lambda id: _respond(_job(service, counted(), id)))
    app.register_blueprint(_health(systems, store, counted))
    app.register_blueprint(decisions_api.blueprint(service.decisions, counted))
    app.register_blueprint(privacy_api.blueprint(store, service.audit, counted))
    app.register_blueprint(migrate_api.blueprint(service, store, partial(_caller, login)))  # no quota holds up a rollback or a kill
    if access.issuer is not None:
        from wrapper.issuer import routes  # who has another issuer needs none of it

        act = partial(service.audit.act, via="oauth")
        spend = lambda caller: service.quotas.spend(None, caller, _seen().told)  # noqa: E731
        app.register_blueprint(routes.blueprint(access.issuer, store, logins, service.audit.stranger, act, spend))
    document = orjson.dumps(openapi.document(service.catalogue, access))
    app.add_url_rule("/openapi.json", "openapi", lambda: Reply(document, content_type="application/json"))
    shown, signs_in = {"app_name": "Figway", "validatorUrl": None}, {"usePkceWithAuthorizationCodeGrant": True}
    app.register_blueprint(get_swaggerui_blueprint("/docs", "/openapi.json", shown, signs_in))


def _view(service: Service, operation: Operation, login: Login) -> Callable[..., Response]:
    body_fields = [p.field for p in operation.params if p.where == "body"]
    header_names = {p.field.name: openapi.header(p.field.name) for p in operation.params if p.where == "header"}

    def view(**path: str) -> Response:
        environ = request.environ  # its headers are read from here: request.headers looks at each of them anew
        seen: Seen = environ[SEEN]
        caller = login(environ)
        seen.caller = caller.principal
        bare = not body_fields and environ.get("CONTENT_LENGTH") in _BODYLESS
        body = {} if bare else sent()
        json_body.typed(body, body_fields)
        header = {name: request.headers[there] for name, there in header_names.items() if there in request.headers}
        asked = Request(
            caller=caller,
            given=Given(path, _query() if environ.get("QUERY_STRING") else {}, header, body),
            trace=seen.trace,
            purpose=environ.get("HTTP_FIGWAY_PURPOSE"),
            idempotency_key=environ.get("HTTP_IDEMPOTENCY_KEY"),
            wait=_wait(environ["HTTP_PREFER"]) if "HTTP_PREFER" in environ else 0.0,
            fresh="no-cache" in environ.get("HTTP_CACHE_CONTROL", ""),
            wanted=_wanted(environ["HTTP_FIGWAY_SIDE"]) if "HTTP_FIGWAY_SIDE" in environ else None,
            explained="HTTP_FIGWAY_EXPLAIN" in environ,
            told=seen.told,
        )
        answer = service.serve(operation, asked)
        seen.side = _side(answer)
        return _unless_known(answer) if operation.method == "GET" else _respond(answer)

    return view


def _announcing(operation: Operation, view: Callable[..., Response]) -> Callable[..., Response]:
    """The view, and its endpoint's end announced on whatever it answers, errors too; the view itself when there is nothing to announce."""
    announced = retiring.announced(operation)
    if announced is None:
        return view

    def announcing(**path: str) -> Response:
        headers = announced(path)

        @after_this_request
        def announce(response: Response) -> Response:
            response.headers.extend(headers)
            return response

        return view(**path)

    return announcing


def _job(service: Service, caller: Caller, id: str) -> Answer:
    found = service.job(id, caller)
    if found is None:
        raise NoSuchThing("there is no such job, or it is not yours")
    return found


def _health(systems: Systems, store: Store, caller: Callable[[], Caller]) -> Blueprint:
    """Liveness and readiness never ask a back end: a sick mainframe must not take the facade out of the balancer."""
    health = Blueprint("health", __name__, url_prefix="/health")

    @health.get("/live")
    def live() -> Response:
        return as_json({"status": "live"})

    @health.get("/ready")
    def ready() -> Response:
        store.ping()
        return as_json({"status": "ready"})

    @health.get("/systems")
    def all_systems() -> Response:
        need(caller(), "health:read")
        states = systems.probe(2.0)
        return as_json({"systems": states}, 200 if all(s in ("up", "closed") for s in states.values()) else 503)

    return health


def _login(known: Known, logins: LoginLimit, environ: Mapping[str, Any]) -> Caller:
    """Who calls. An address from which too many logins have failed is refused before another one is tried."""
    authorization, address = environ.get("HTTP_AUTHORIZATION"), proxied.address(environ)
    try:
        return known.caller(authorization, environ.get(proxied.PEER), admit=partial(logins.check, address))
    except Unauthenticated as error:
        if authorization and error.guess:
            logins.failed(address)
        raise


def _caller(login: Login) -> Caller:
    caller = login(request.environ)
    _seen().caller = caller.principal
    return caller


def _counted(service: Service, login: Login) -> Caller:
    """Who calls what is no endpoint: it costs their quota all the same."""
    caller = _caller(login)
    service.quotas.spend(None, caller, _seen().told)
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


def _wanted(side: str) -> Side:
    """The side that a tester wants."""
    if side not in ("legacy", "modern"):
        raise RequestError("Figway-Side is legacy or modern")
    return side  # type: ignore[return-value]


def _side(answer: Answer) -> str:
    """Which side has answered; nothing for a join, or a job that was taken."""
    sources = answer.body["meta"].get("sources", ())
    return str(sources[0].get("side", "")) if sources else ""


def _seen() -> Seen:
    seen: Seen = request.environ[SEEN]
    return seen


def _begin(telemetry: Telemetry) -> None:
    _seen().span = telemetry.begin(request.endpoint, request.headers.get)


def _end(telemetry: Telemetry, response: Response) -> Response:
    environ = request.environ
    if not environ["PATH_INFO"].startswith(("/health", "/docs")):
        seen: Seen = environ[SEEN]
        elapsed = time.monotonic() - seen.began
        telemetry.end(
            seen.span, environ["REQUEST_METHOD"], request.endpoint, seen.side, response.status_code, elapsed, caller=seen.caller,
            request_id=seen.trace,
        )  # fmt: skip
    return response


def _failed(service: Service, error: Exception) -> Response:
    """Every error as a problem; only what is not a RequestError, an AdapterError or Flask's own leaves a stack trace in the log."""
    if isinstance(error, HTTPException):
        error = _from_flask(error)
    trace, caller = _seen().trace, _seen().caller
    if isinstance(error, Unauthenticated):
        service.audit.stranger(proxied.address(request.environ), request.endpoint, trace)
    elif caller is not None and isinstance(error, RequestError) and request.endpoint not in service.catalogue.operations:
        service.audit.denied(caller, request.endpoint or "", error, trace)
    shown = problem(error, trace)
    if shown.status == 500:
        log.get().error("failed", endpoint=request.endpoint, request_id=trace, exc_info=error)
    try:
        response = as_json(shown.body, shown.status, "application/problem+json")
    except TypeError:  # a name or text that JSON can't carry; to fail here would hand the path, with its keys, to Flask's own log
        response = as_json({"title": shown.body["title"], "status": shown.status}, shown.status, "application/problem+json")
    response.headers.update(shown.headers)
    return response


def _from_flask(error: HTTPException) -> RequestError:
    match error.code:
        case 404:
            return NoSuchThing("no endpoint has this path; /docs lists them")
        case 503:
            return NotReady("the facade is shutting down")
    allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
    made = RequestError(f"this path takes {allowed}" if allowed else error.description or error.name)
    made.status, made.title = error.code or 400, error.name
    if allowed:
        made.headers["Allow"] = allowed
    return made


def _respond(answer: Answer) -> Response:
    response = as_json(answer.body, answer.status)
    response.headers.update(answer.headers)
    return response


def _unless_known(answer: Answer) -> Response:
    """A read, under a strong ETag of what this caller may see; 304 when the caller has that already (RFC 9110, 13.1.2)."""
    body = orjson.dumps(answer.body)
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    headers = {**answer.headers, "ETag": f'"{tag}"'}
    if "HTTP_IF_NONE_MATCH" in request.environ and request.if_none_match.contains_weak(tag):
        return Reply(b"", 304, headers)
    return Reply(body, answer.status, headers, content_type="application/json")
