"""Whether a facade that has been started serves: asked as any caller would ask it, on its own listener."""

from __future__ import annotations

from contextlib import closing, suppress
from functools import partial


def is_ready(host: str, port: int, secure: bool) -> bool:
    """Waits for its answer. It is ourselves whom we ask: it needs no certificate to be believed, and when it wants ours, it serves."""
    import http.client  # late: while the server starts
    import ssl

    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    anybody = partial(http.client.HTTPSConnection, context=ssl._create_unverified_context()) if secure else http.client.HTTPConnection  # noqa: S323
    connection = anybody(reached, port, timeout=60)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except ssl.SSLError as error:
            return error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    return False
