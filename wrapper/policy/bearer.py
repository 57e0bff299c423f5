"""RFC 6750: what is read of an Authorization header, and how 400, 401 and 403 are worded. Knows no kind of credential.

A refusal tells no guesser what was wrong: not which check failed, nor whether there is such a key.
"""

from __future__ import annotations

import re

from wrapper.problems import Forbidden, RequestError, Unauthenticated

MOST = 8192
"""Characters of a credential."""
_REALM = 'Bearer realm="figway"'
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_HOW = "send an API key or an access token as `Authorization: Bearer ...`"


def token(authorization: str | None) -> str:
    """The credential of the one `Authorization: Bearer ...` header. Raises Unauthenticated where there is none, RequestError for a
    header that can be read in two ways: two of them arrive as one with a comma."""
    scheme, _, rest = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise unknown()
    sent = rest.strip(" ")
    if len(sent) > MOST or not _TOKEN.fullmatch(sent):
        headers = {"WWW-Authenticate": f'{_REALM}, error="invalid_request", error_description="{_HOW.replace("`", "")}"'}
        raise RequestError(f"the Authorization header can't be understood: {_HOW}, once", headers=headers)
    return sent


def unknown(why: str = "") -> Unauthenticated:
    """Nothing was sent that says who calls; `why` a certificate does not, which its holder may know."""
    return Unauthenticated(why + _HOW, headers={"WWW-Authenticate": _REALM})


def invalid(said: str = "the API key or access token is not valid") -> Unauthenticated:
    """What was sent is no valid credential, for whatever reason."""
    return Unauthenticated(said, headers={"WWW-Authenticate": f'{_REALM}, error="invalid_token", error_description="{said}"'})


def expired() -> Unauthenticated:
    """What was sent was good: its holder learns nothing but that it is time for another one."""
    made = invalid("the API key or access token has expired")
    made.guess = False
    return made


def lacking(scope: str) -> Forbidden:
    """The caller is known and lacks this scope."""
    headers = {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'}
    return Forbidden(f"this needs the scope {scope}", headers=headers)
