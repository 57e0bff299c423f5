"""What two servers could read as two requests is refused, and what only looks odd is not."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from wrapper.strict_http import doubt


def doubted(sent: str) -> str:
    """Of a request that gunicorn itself takes."""
    return doubt(next(RequestParser(Config(), iter([f"{sent}\r\n\r\n".encode("latin-1")]), ("127.0.0.1", 1))))


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/a;b=c/d..e/.well-known/x%20y?a=%2F%2f..//%00&b=\\", "/v1/%C3%A9/%25/a+b/~", "/v1/a/", "/?", "/v1/...", "/v1/a%3Bb"],
)
def test_a_path_that_all_read_alike_is_taken(path: str) -> None:
    assert doubted(f"GET {path} HTTP/1.1\r\nHost: [::1]:8080") == ""


@pytest.mark.parametrize(
    "path",
    [
        "//v1", "/v1//a", "/v1/%2e%2E/a", "/v1/.", "/v1/..", "/./v1", "/v1/..;/a", "/v1%2fa", "/v1%5Ca", "/v1/a\\b", "/v1/a%00", "/v1/a%0a",
        "/v1/%1B", "/v1/%7f", "/v1/a%", "/v1/a%zz", "/v1/%ff", "/v1/%C0%AF", "/v1/%ed%a0%80", "/v1/a?b=%", "/v1/a?b=%ff", "/v1/a#b",
        "http://a/v1", "https://a/v1/b",
    ],
)  # fmt: skip
def test_a_path_that_some_read_otherwise_is_not(path: str) -> None:
    assert doubted(f"GET {path} HTTP/1.1\r\nHost: a")


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.2\r\nHost: a",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: a/b",
        "GET / HTTP/1.1\r\nHost: a@b",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nAuthorization: x",
        "GET / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: x\r\nX: y\r\nidempotency-key: z",
    ],
)
def test_a_head_that_some_read_otherwise_is_not_taken(head: str) -> None:
    assert doubted(head)


def test_a_head_that_is_only_odd_is_taken() -> None:
    assert doubted("GET / HTTP/1.0") == ""
    assert doubted("GET / HTTP/1.1\r\nHost:\r\nAccept: a\r\nAccept: b\r\nTransfer-Encoding: Chunked") == ""
