"""How requests enter Flask and answers leave it: what every answer has whatever it says, and no work that this facade has no use for.

All requests pass here, so what it does is measured (`make bench`): Flask's own hooks, header by header, cost as much as Flask itself.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import orjson
from flask import Flask, Response, request
from werkzeug.routing import MapAdapter, RequestRedirect

from wrapper import json_body
from wrapper.tracing import Served

F = TypeVar("F", bound=Callable[..., Any])
SEEN = "figway.seen"
_TRACE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'",
}
_PLAIN = [*_HEADERS.items()]
_SECURE = [*_PLAIN, ("Strict-Transport-Security", "max-age=31536000")]


def headers(secure: bool) -> list[tuple[str, str]]:
    """What every answer has, whoever makes it; `secure`: over TLS that ends here."""
    return _SECURE if secure else _PLAIN


@dataclass(slots=True)
class Seen:
    """What is remembered of a request until its answer has left; in its environ under SEEN."""

    trace: str
    began: float = field(default_factory=time.monotonic)
    caller: str | None = None
    side: str = ""
    span: Served | None = None
    told: dict[str, str] = field(default_factory=dict)

    def headers(self) -> list[tuple[str, str]]:
        """Of its answer."""
        return [
            *self.told.items(),
            ("X-Request-Id", self.trace),
            ("Server-Timing", f"total;dur={(time.monotonic() - self.began) * 1000:.1f}"),
        ]


class Reply(Response):
    """An answer that gets the headers of all answers as it leaves, those that it has itself aside."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        own = list(self.headers)
        has = {name.title() for name, _ in own}
        ours = [header for header in headers(environ["wsgi.url_scheme"] == "https") if header[0] not in has] + environ[SEEN].headers()
        body = self.response
        if not isinstance(body, list) or self.direct_passthrough or self.status_code in (204, 304):
            self.headers.extend(ours)
            return super().__call__(environ, start_response)
        start_response(self.status, own + ours)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body


def as_json(body: Any, status: int = 200, kind: str = "application/json") -> Reply:
    """An answer of JSON-ready data."""
    return Reply(orjson.dumps(body), status, content_type=kind)


def sent() -> dict[str, Any]:
    """The request's body. Raises RequestError, WrongType."""
    environ = request.environ
    return json_body.parse(request.get_data(), environ.get("CONTENT_TYPE", ""), environ.get("HTTP_CONTENT_ENCODING", ""))


def said(**kinds: type) -> dict[str, Any]:
    """The request's body, of which these members may be there. Raises Invalid too."""
    return json_body.members(sent(), kinds)


class Facade(Flask):
    """Flask, without coroutines and sub-domains."""

    response_class = Reply

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)

    def wsgi_app(self, environ: Any, start_response: Any) -> Any:
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        environ[SEEN] = Seen(sent if _TRACE.fullmatch(sent) else f"{random.getrandbits(64):016x}")
        return super().wsgi_app(environ, start_response)

    def ensure_sync(self, func: F) -> F:
        return func

    def raise_routing_exception(self, request: Any) -> NoReturn:
        """A redirect is to a path of ours, never to whatever Host the caller has named."""
        error = request.routing_exception
        if isinstance(error, RequestRedirect):
            error.new_url = urlsplit(error.new_url).path
        raise error

    def create_url_adapter(self, request: Any) -> MapAdapter | None:
        if request is None:
            return None
        environ, get = request.environ, request.environ.get
        host = get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
        return MapAdapter(
            self.url_map,
            host,
            environ.get("SCRIPT_NAME", ""),
            "",
            environ["wsgi.url_scheme"],
            request.path,
            request.method,
            environ.get("QUERY_STRING", ""),
        )
