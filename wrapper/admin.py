"""What answers on the listener for health, metrics and admin (--admin-bind): the facade's own health and migration, and what is mounted
beside them.

It has threads of its own in each worker, so it answers when all threads of the facade are stuck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import orjson

from wrapper.edge import headers
from wrapper.problems import NoSuchThing, problem

App: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Page: TypeAlias = Callable[[], tuple[bytes, str]]


def create(facade: App, pages: Mapping[str, Page]) -> App:
    """A WSGI application. `pages` are bodies with their content types, by path."""

    def admin(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if f"{path}/".startswith(("/health/", "/migration/")):
            return facade(environ, start_response)
        status, page = ("200 OK", pages[path]) if path in pages else ("404 Not Found", _nothing)
        body, kind = page()
        start_response(
            status, [("Content-Type", kind), ("Content-Length", str(len(body))), *headers(environ["wsgi.url_scheme"] == "https")]
        )
        return [body]

    return admin


def _nothing() -> tuple[bytes, str]:
    here = NoSuchThing("here are /health/live, /health/ready, /health/systems, /migration and /metrics")
    return orjson.dumps(problem(here, "admin").body), "application/problem+json"
