"""The answer to what could not be read as HTTP, was not let in, or failed outside of the facade: a problem like any other, as bytes."""

from __future__ import annotations

import json
from http import HTTPStatus

from gunicorn.http import errors

from wrapper.admission import FULL
from wrapper.edge import headers
from wrapper.intake import Refused
from wrapper.problems import NotReady, RequestError, problem

_REFUSED = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ParseException: HTTPStatus.BAD_REQUEST,
    errors.NoMoreData: HTTPStatus.BAD_REQUEST,
}
_SAID = {
    HTTPStatus.REQUEST_TIMEOUT: "the request did not arrive in time",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the request's body is too large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the request's head is too large",
    HTTPStatus.SERVICE_UNAVAILABLE: FULL,
    HTTPStatus.INTERNAL_SERVER_ERROR: "the facade failed",
}


def status(error: Exception) -> HTTPStatus:
    """Of the answer to what has failed with `error`."""
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _REFUSED.items() if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def answer(status: HTTPStatus, said: str, trace: str, secure: bool, head_only: bool) -> bytes:
    """The last one on its connection; it says what is wrong, if anybody knows."""
    said = said or _SAID.get(status, "this can't be read as an HTTP request")
    error = NotReady(said) if status == HTTPStatus.SERVICE_UNAVAILABLE else RequestError(said)
    error.status, error.title = status.value, status.phrase
    body = json.dumps(problem(error, trace).body).encode()
    own = [("Connection", "close"), ("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]
    again = [("Retry-After", "1")] if status == HTTPStatus.SERVICE_UNAVAILABLE else []
    told = [*own, ("X-Request-Id", trace), *again, *headers(secure)]
    head = "".join(f"{name}: {value}\r\n" for name, value in told)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + (b"" if head_only else body)
