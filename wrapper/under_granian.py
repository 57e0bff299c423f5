"""granian as the server, `figway serve --server granian`: less CPU a request than gunicorn, and less of a guard against callers.

As under gunicorn: admission, health, metrics, the admin listener, drain at TERM, a catalogue that is tried first. Not as under gunicorn:
a caller that stalls in its body holds one of CALLERS threads until it goes, so a proxy that buffers requests belongs in front; and HUP
starts new workers and drains the old ones: kept connections end with an answer, but now and then one that has just been opened is closed
instead of answered.
"""

from __future__ import annotations

import secrets
import socket
import sys
import threading
from functools import partial
from http import HTTPStatus
from importlib import import_module
from io import BytesIO
from multiprocessing.util import Finalize
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import orjson

from wrapper import admin, app, edge, log, settings
from wrapper.admission import FULL, GRACEFUL, LEAVING, Admission, class_of, classes
from wrapper.http import MAX_BODY
from wrapper.problems import NotReady, problem
from wrapper.telemetry import NOWHERE

CALLERS = 64  # threads beyond those of the classes, for callers whose requests are not whole


def main() -> None:
    """The first process, which starts the workers; like gunicorn's, it waits for the supervisor's word."""
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server.mp import MPServer

    net: Any = import_module("granian.net")

    class Handed(MPServer):
        """On the listener that the supervisor has bound: granian's own are one a worker, and what waits in one is lost with its worker."""

        def _init_shared_socket(self: Any) -> None:
            self._ssp, self._sfd = None, int(sys.argv[1])
            self._shd = net.SocketHolder(self._sfd, False, self.backlog)
            self._sso = socket.socket(fileno=self._sfd)
            self._sso.set_inheritable(True)

    given = settings.from_environment()
    server = Handed(
        "wrapper.under_granian:application", interface=Interfaces.WSGI, factory=True, http=HTTPModes.http1, websockets=False,
        workers=given.workers, blocking_threads=given.threads + CALLERS, log_enabled=False,
        http1_settings=HTTP1Settings(header_read_timeout=given.patience * 500, max_buffer_size=64 * 1024),
        respawn_failed_workers=True, workers_kill_timeout=GRACEFUL + 8,
    )  # fmt: skip
    if sys.stdin.buffer.read(1):
        server.serve()


def application() -> admin.App:
    """What a worker loads."""
    given = settings.from_environment()
    served = given.catalogue.readlink()
    facade = app.create_app(given)
    parts = facade.extensions["figway"]
    Finalize(None, parts.close, exitpriority=1)
    Finalize(None, log.flush, exitpriority=0)  # afterwards; what multiprocessing ends runs no atexit
    for listener in sys.argv[2:]:
        _serve_admin(int(listener), facade.extensions["figway.admin"])
    return partial(_serve, facade, parts, Admission(classes(given.threads)), given.catalogue, served)


def _serve(
    facade: Any, parts: Any, admission: Admission, catalogue: Path, served: Path, environ: dict[str, Any], start_response: Any
) -> list[bytes]:
    """One request in one of the worker's threads; the body first, so that only what is whole takes a seat."""
    environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(MAX_BODY + 1))
    if (catalogue.parent / LEAVING).exists():
        parts.leaving.set()
    last = parts.leaving.is_set() or catalogue.readlink() != served  # after HUP its callers go to its successor
    kind = class_of(environ["PATH_INFO"])
    if not admission.enter(kind):
        return _turned_away(parts, start_response)
    try:
        answer = facade(environ, partial(_started, start_response, last))
        try:
            return list(answer)
        finally:
            if (close := getattr(answer, "close", None)) is not None:  # a list has none
                close()
    finally:
        admission.leave(kind)


def _started(start_response: Any, last: bool, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
    """A worker that is about to stop ends each connection with its next answer."""
    return start_response(status, [*headers, ("Connection", "close")] if last else headers, exc_info)


def _turned_away(parts: Any, start_response: Any) -> list[bytes]:
    trace = secrets.token_hex(8)
    shed = problem(NotReady(FULL, headers={"Retry-After": "1"}), trace)
    log.get().warning("shed", status=shed.status, request_id=trace)
    parts.telemetry.metrics.request(NOWHERE, "", shed.status, 0.0)
    headers = [("Content-Type", "application/problem+json"), ("X-Request-Id", trace), *shed.headers.items(), *edge.headers(False)]
    start_response(f"{shed.status} {HTTPStatus(shed.status).phrase}", headers)
    return [orjson.dumps(shed.body)]


class _Listener(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        """What is asked here is not logged."""


def _serve_admin(descriptor: int, pages: admin.App) -> None:
    """The admin listener, in this worker and in all others."""
    listener = _Listener(("", 0), _Handler, bind_and_activate=False)
    listener.socket = socket.socket(fileno=descriptor)
    listener.server_name, listener.server_port = "", 0
    listener.setup_environ()
    listener.set_app(pages)
    threading.Thread(target=listener.serve_forever, name="figway-admin", daemon=True).start()


if __name__ == "__main__":
    main()
