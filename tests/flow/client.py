"""A plain HTTP client for a facade that runs as its own process, and what the flow tests know of that facade."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.estate import Estate

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True, slots=True)
class Facade:
    """A served facade: where it is, the API keys by caller, the estate behind it, its log."""

    address: tuple[str, int]
    keys: Mapping[str, str]
    estate: Estate
    log: Path

    def ask(
        self,
        request: str,
        *,
        key: str | None = "teller",
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One exchange on a connection of its own. `request` is METHOD and raw path; `body` is sent as JSON, `raw` as it is."""
        connection = http.client.HTTPConnection(*self.address, timeout=SECONDS)
        try:
            return self.ask_on(connection, request, key=key, body=body, raw=raw, headers=headers)
        finally:
            connection.close()

    def ask_on(
        self,
        connection: http.client.HTTPConnection,
        request: str,
        *,
        key: str | None = "teller",
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        method, path = request.split(" ", 1)
        sent = {"Authorization": f"Bearer {self.keys.get(key, key)}"} if key else {}
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        data = json.dumps(body).encode() if body is not None else raw
        connection.request(method, path, data, {**sent, **(headers or {})})
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def is_problem(seen: Response, status: int) -> dict[str, Any]:
    """An RFC 9457 problem of this status that carries the request's own id."""
    assert seen.status == status, seen.content[:300]
    assert seen.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = seen.body
    assert body["status"] == status
    assert body["type"].startswith("/problems/")
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == seen.headers["x-request-id"]
    assert "Traceback" not in seen.content.decode()
    return body
