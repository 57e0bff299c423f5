"""gunicorn's side of `figway serve`, and its configuration: how a worker begins and ends, and what gunicorn itself says.

What can't be read as HTTP never reaches the facade; its answer is a problem like any other, and nothing of it is logged: a malformed
request line may hold an API key.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from http import HTTPStatus
from types import FrameType
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from wrapper import log, metrics, settings
from wrapper.problems import RequestError, problem

GRACEFUL = 30

# gthread only: our back ends block in C and on pipes, where cooperative workers stop as a whole.
worker_class = "wrapper.worker.Worker"
logger_class = "wrapper.worker.Lines"
loglevel = "warning"
graceful_timeout = GRACEFUL
timeout = 60
keepalive = 5
control_socket_disable = True


def child_exit(server: Any, worker: Any) -> None:
    """gunicorn's hook, in its main process: a worker has died, in whatever way."""
    if (folder := settings.from_environment().metrics) is not None:
        metrics.gone(worker.pid, folder)


_REFUSED = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ParseException: HTTPStatus.BAD_REQUEST,
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Loads the facade after the fork and signs off from every system at its end."""

    def init_process(self) -> None:
        """All of a worker's life."""
        try:
            super().init_process()
        finally:
            if (parts := self._parts()) is not None:
                parts.close()

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """The supervisor is about to stop: not ready any more, and each connection ends with its next answer."""
        if (parts := self._parts()) is not None:
            parts.leaving.set()
        self.max_keepalived = 0

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers what could not be parsed, or what failed outside of the facade."""
        status = next((status for kind, status in _REFUSED.items() if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        trace = secrets.token_hex(8)
        log.get().warning("unreadable", status=int(status), error=type(exc).__name__, request_id=trace)
        with suppress(OSError):  # it has gone
            client.sendall(_answer(status, trace))

    def _parts(self) -> Any:
        return getattr(getattr(self, "wsgi", None), "extensions", {}).get("figway")


def _answer(status: HTTPStatus, trace: str) -> bytes:
    error = RequestError("this can't be read as an HTTP request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "the facade failed")
    error.status, error.title = status.value, status.phrase
    body = json.dumps(problem(error, trace).body).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}", "Connection: close", "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}", "Cache-Control: no-store", f"X-Request-Id: {trace}", "", "",
    )  # fmt: skip
    return "\r\n".join(head).encode() + body


class Lines(Logger):  # type: ignore[misc]
    """gunicorn's own log, as JSON lines like ours. An error is told by its kind and place: what its message quotes may be a customer's."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        log.configure("info")  # gunicorn's main process has no other
        self.error_log.handlers[:] = [log.Library(trusted=True)]
