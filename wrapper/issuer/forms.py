"""Query strings and forms, strictly: what two parsers could read in two ways is refused, so nobody is shown one thing and given another."""

from __future__ import annotations

from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import InvalidRequestError

LONGEST = 16 * 1024
MOST = 24
FORM = "application/x-www-form-urlencoded"


def fields(encoded: bytes) -> dict[str, str]:
    """Each name with its one value, printable. Raises InvalidRequestError."""
    if len(encoded) > LONGEST:
        raise InvalidRequestError("The request is too long.")
    if not encoded:
        return {}
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST, separator="&"
        )
    except ValueError:
        raise InvalidRequestError("The request is not URL-encoded, or has too many parameters.") from None
    if not all(name.isprintable() and value.isprintable() for name, value in pairs):
        raise InvalidRequestError("A parameter holds control characters.")
    if len(dict(pairs)) != len(pairs):
        raise InvalidRequestError("A parameter is given more than once.")
    return dict(pairs)
