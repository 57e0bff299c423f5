"""Requests as bytes: good ones, and those that two servers could read in two ways. KEY stands for an API key."""

from __future__ import annotations

from collections.abc import Iterator

ONE = "GET /v1/things/1 HTTP/1.1\r\nHost: figway\r\nAuthorization: Bearer KEY\r\n"
POST = "POST /v1/find HTTP/1.1\r\nHost: figway\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\n"
BODY = '{"id": "1"}'
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n"
PIECES = '4\r\n{"id\r\n7;x=y\r\n": "1"}\r\n'

_CODINGS = (
    "xchunked",
    "chunked, chunked",
    "gzip, chunked",
    "identity, chunked",
    "identity",
    "\x0bchunked",
    "chunked\r\nTransfer-Encoding: x",
)
_LENGTHS = ("+0", "-1", "0x0", "0, 0", "1 1", "\xb2", "", "9" * 5000, "0\r\nContent-Length: 0")
_LINES = (
    "Transfer-Encoding : chunked", "X : 1", " X: 1", ": 1", "X", "X: 1\r\n Y: 2", "X: 1\rY: 2", "X: 1\x00", "X: 1\nY: 2", "Host: other",
    "Authorization: Bearer x", "Content-Length: 3\r\nTransfer-Encoding: chunked", "Expect: 200-ok", "\r\n".join(["X: 1"] * 150),
)  # fmt: skip
_CHUNKS = (
    ("0xb", ""), ("+b", ""), ("0_b", ""), ("b ", ""), ("b;\nx", ""), ("b", "Authorization: Bearer x\r\n"), ("b", "Content-Length: 0\r\n"),
)  # fmt: skip
_CHANGES = (
    ("HTTP/1.1", "HTTP/1.2"), ("HTTP/1.1", "HTTP/2.0"), ("Host: figway\r\n", ""), ("Host: figway", "Host: figway/x"), ("GET /", "GET  /"),
    ("GET /", "GET\t/"), ("GET /", "get /"), ("GET /", "GET http://x/"), ("GET /", "GET "), ("GET /v1/things/1", "CONNECT a:1"),
    ("/v1/", "//v1/"), ("/v1/", "/v1//"), ("things/1", "things%2f1"), ("things/1", "things/x/../1"), ("things/1", "things/1%00"),
    ("things/1", "things/1?x=%ff"), ("things/1", "things/1#x"),
)  # fmt: skip


def _all() -> Iterator[str]:
    for coding in _CODINGS:
        yield f"{ONE}Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
    for length in _LENGTHS:
        yield f"{ONE}Content-Length: {length}\r\n\r\n"
    for line in _LINES:
        yield f"{ONE}{line}\r\n\r\n"
    for size, trailer in _CHUNKS:
        yield f"{CHUNKED}\r\n{size}\r\n{BODY}\r\n0\r\n{trailer}\r\n"
    for right, wrong in _CHANGES:
        yield ONE.replace(right, wrong) + "\r\n"


DOUBTFUL = [*_all()]
