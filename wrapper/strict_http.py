"""What is HTTP for gunicorn's parser, and yet may be another request for a proxy on the way: it is refused, whichever of the two is right.

Of an access rule in front, or a cache, or a log, nothing holds when they have seen another path, host, length or key than we have. Pure.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

ONCE = {
    "AUTHORIZATION", "CONTENT-ENCODING", "FIGWAY-EXPLAIN", "FIGWAY-PURPOSE", "FIGWAY-SIDE", "HOST", "IDEMPOTENCY-KEY", "TRACEPARENT",
    "TRANSFER-ENCODING", "X-REQUEST-ID",
}  # fmt: skip
"""Headers that hold one value: who is believed by one of them could be fooled by another. (gunicorn sees to those of lengths and types.)"""
_VERSIONS = ((1, 0), (1, 1))
_HOST = re.compile(r"[A-Za-z0-9._~:\[\]-]{0,255}")
_BROKEN = re.compile(r"#|%(?![0-9A-Fa-f]{2})")
_SEVERAL = re.compile(r"//|\\|/(?:\.|%2[Ee]){1,2}(?:[/;]|$)|%(?:2[Ff]|5[Cc]|[01][0-9A-Fa-f]|7[Ff])")
"""In a path: empty segments, dots for segments, encoded slashes and control characters."""


def doubt(request: Any) -> str:
    """Of a request that gunicorn has parsed; empty is none."""
    once = [name for name, _ in request.headers if name in ONCE]
    if len(once) != len(set(once)):
        return "a header that holds one value is there more than once"
    return _target(request.uri) or _framing(request, dict(request.headers))


def _target(uri: str) -> str:
    path = uri.partition("?")[0]
    if not path.startswith("/") or _SEVERAL.search(path):
        return "a path begins with / and has no empty segments, no dots for segments, and no encoded slashes or control characters"
    if _BROKEN.search(uri):
        return "the address has a # or a % that encodes nothing"
    if "%" in uri:
        try:
            unquote_to_bytes(uri).decode()
        except UnicodeDecodeError:
            return "the address is not UTF-8 with percent-encoding"
    return ""


def _framing(request: Any, headers: dict[str, str]) -> str:
    if request.version not in _VERSIONS:
        return "the version of HTTP is 1.1, or 1.0"
    if not _HOST.fullmatch(headers.get("HOST", "" if request.version == (1, 0) else " ")):
        return "one Host is needed, a name or an address"
    if headers.get("TRANSFER-ENCODING", "chunked").lower() != "chunked":
        return "a body comes as it is, or chunked"
    return ""
