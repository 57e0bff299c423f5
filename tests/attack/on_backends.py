"""JSON services: values that would be paths, queries or headers, and answers that are made to be read wrongly."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapters import http1, registry
from adapters.base import Call
from adapters.httpwire import Wire
from fixtures.web import Asked, Page, Web
from tests.attack.parts import Attack, Control, Seen, control, same
from wrapper.catalogue.folder import Folder

HTTP, WIRE, HTTP1 = "adapters.http.adapter", "adapters.httpwire", "adapters.http1"
STEP = (HTTP, 'if not text or {".", ".."} & set(re.split(r"[/\\\\]", text)):', "if not text:")
QUOTE = (HTTP, 'steps.append(quote(text, safe=""))', "steps.append(text)")
QUOTED = control("a value is one step of a path", QUOTE)
CLIMBS = control("a value is one step of a path, and no step up", STEP, QUOTE)
ENCODED = control("no step up, however a server decodes it", STEP)
QUERIED = control(
    "a value is one value of a query",
    (HTTP, "urlencode(query, quote_via=quote)", '"&".join(f"{name}={text}" for name, text in query.items())'),
)
SENDABLE = control("what HTTP can't send", (WIRE, 'if not all(map(_SENDABLE, lines)) or " " in target:', "if False:"))
STATUS = control("a redirect is no answer", (HTTP, "if answer.status in (200, 201, 204):", "if answer.status < 400:"))
ONCE = control("a member once", (HTTP, "if len(found) != len(pairs):", "if False:"))
FINITE = control("finite numbers", (HTTP, "if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:", "if False:"))
JSON = control("JSON is JSON", (HTTP, "if not JSON.fullmatch(answer.media):", "if False:"))
CODING = control(
    "no coding that was not asked for", (WIRE, 'if told.headers.get("content-encoding", "identity").lower() != "identity":', "if False:")
)
QUIET = control("an unasked answer ends the connection", (WIRE, "fit=_quiet", "fit=lambda line, _idle: line.sock is not None"))
ONE_LENGTH = control("a length or chunks", (HTTP1, 'if coding.lower() != "chunked" or length is not None:', "if False:"))
NUMBER = control(
    "a length is a number",
    (HTTP1, "if not (length.isascii() and length.isdigit() and len(length) < 16):", "if False:"),
    (HTTP1, "if int(length) > most:", 'if int(length.split(",")[0]) > most:'),
    (HTTP1, "return source.take(int(length))", 'return source.take(int(length.split(",")[0]))'),
)
LIMIT = control("the longest body", (HTTP1, "if int(length) > most:", "if False:"))
CHUNK = control("a chunk is as long as it says", (HTTP1, 'if source.take(2) != b"\\r\\n":', "if not source.take(2):"))
FOLDED = control(
    "a line of a head is a header",
    (
        HTTP1,
        'if met is None:\n            raise NotHttp("a line of the head',
        'if met is None:\n            continue\n            raise NotHttp("a line of the head',
    ),
)
SWITCH = control("no change of protocol", (HTTP1, "if status == 101:", "if False:"), (HTTP1, "if status >= 200:", "if status >= 101:"))

BLOCK: Mapping[str, Any] = {"path": "/customers/{id}/accounts", "query": {"kind": "{kind}"}}
ROWS = b'[{"id": "7", "amount": "1.00"}]'


@contextmanager
def service(answer: Callable[[Asked], Page]) -> Iterator[tuple[Web, str]]:
    web = Web("service", answer)
    host, port = web.start()
    try:
        yield web, f"http://{host}:{port}"
    finally:
        web.stop()


def asked(folder: Path, url: str, **params: Any) -> tuple[Any, ...]:
    """The records that the service gives for these parameters."""
    adapter = registry.adapter("http").open("service", {"url": url}, Folder(folder), None)  # type: ignore[arg-type]
    target = registry.target("http").compile(BLOCK, {"url": url}, Folder(folder))
    try:
        return adapter.call(Call("test", target, params, time.monotonic() + 3)).records
    finally:
        adapter.close()


def target(wanted: str, **params: Any) -> Callable[[Path], Seen]:
    """Got when this is the target that the service saw."""

    def act(folder: Path) -> Seen:
        seen: list[str] = []

        def answer(request: Asked) -> Page:
            seen.append(request.target)
            return Page(200, "application/json", ROWS)

        with service(answer) as (_, url):
            try:
                asked(folder, url, **params)
            finally:
                met = f"the service saw {seen}"
        return Seen(seen == [wanted], met)

    return act


def answers(page: Page, wanted: Any) -> Callable[[Path], Seen]:
    """Got when this page is read as these records."""

    def act(folder: Path) -> Seen:
        with service(lambda _: page) as (_, url):
            return same([dict(row) for row in asked(folder, url, id="7")], wanted)

    return act


def header(name: str, value: str, path: str, wanted: str) -> Callable[[Path], Seen]:
    """Got when the service saw a header X-Admin (or, in the twin, the one that was sent)."""

    def act(_: Path) -> Seen:
        seen: dict[str, str] = {}

        def answer(request: Asked) -> Page:
            seen.update(request.headers)
            return Page(200, "application/json", ROWS)

        with service(answer) as (_web, url):
            wire = Wire("service", url, {})
            try:
                wire.send(Call("test", None, {}, time.monotonic() + 2), "GET", path, {name: value})
            finally:
                wire.close()
        return Seen(wanted in seen, f"the service saw {sorted(seen)}")

    return act


def wire(data: bytes, wanted: bytes) -> Callable[[Path], Seen]:
    """Got when these bytes are read as an answer with this body."""

    def act(_: Path) -> Seen:
        source = iter([data])

        def read_into(place: memoryview) -> int:
            piece = next(source, b"")
            place[: len(piece)] = piece
            return len(piece)

        try:
            return same(http1.receive(read_into, 4096).body, wanted)
        except http1.Ended as error:
            return Seen(False, f"Ended {error}")

    return act


def poisoned(unasked: bytes) -> Callable[[Path], Seen]:
    """A service says something unasked on a connection that rests. Got when the next caller is given it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            line, _ = listener.accept()
            with line, suppress(OSError):
                while line.recv(65536):
                    line.sendall(head % (len(ROWS), ROWS))
                    time.sleep(0.05)
                    if unasked:
                        line.sendall(head % (len(unasked), unasked))

    def act(folder: Path) -> Seen:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            adapter = registry.adapter("http").open("service", {"url": url}, Folder(folder), None)  # type: ignore[arg-type]
            made = registry.target("http").compile(BLOCK, {"url": url}, Folder(folder))
            try:
                adapter.call(Call("test", made, {"id": "7"}, time.monotonic() + 3))
                time.sleep(0.3)
                (row,) = adapter.call(Call("test", made, {"id": "7"}, time.monotonic() + 3)).records
            finally:
                adapter.close()
        return Seen((row["id"] != "7") == bool(unasked), f"given {row}")

    return act


def _path(name: str, value: str, seen: str, by: Control = QUOTED) -> Attack:
    return Attack(
        name,
        "paths and SSRF",
        by,
        target(f"/customers/{seen}/accounts", id=value),
        target("/customers/A%26B%20%C3%BC/accounts", id="A&B ü"),
    )


def _answer(name: str, by: Control, page: Page, wanted: Any) -> Attack:
    return Attack(
        name, "hostile answers", by, answers(page, wanted), answers(Page(200, "application/json", ROWS), [{"id": "7", "amount": "1.00"}])
    )


def _wire(name: str, by: Control, data: bytes, wanted: bytes) -> Attack:
    return Attack(name, "hostile answers", by, wire(data, wanted), wire(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"))


def _json(text: bytes, status: int = 200, media: str = "application/json", **headers: str) -> Page:
    return Page(status, media, text, {name.replace("_", "-"): value for name, value in headers.items()})


OK = b"HTTP/1.1 200 OK\r\n"
ATTACKS = (
    _path("path.other_resource", "7/secrets", "7/secrets"),
    _path("path.query", "7?admin=1", "7?admin=1"),
    _path("path.encoded_by_the_caller", "7%2Fsecrets", "7%2Fsecrets"),
    _path("path.other_host", "@evil.example", "@evil.example"),
    _path("path.absolute", "http://evil.example/", "http://evil.example/"),
    _path("path.parameters", "7;admin=1", "7;admin=1"),
    _path("path.climbs", "../admin", "../admin", CLIMBS),
    _path("path.climbs_backwards", "..\\admin", "..\\admin", CLIMBS),
    _path("path.climbs_encoded", "../admin", "..%2Fadmin", ENCODED),
    _path("path.dot", ".", ".", ENCODED),
    Attack(
        "path.query_value",
        "paths and SSRF",
        QUERIED,
        target("/customers/7/accounts?kind=loan&admin=1", id="7", kind="loan&admin=1"),
        target("/customers/7/accounts?kind=a%26b", id="7", kind="a&b"),
    ),
    Attack(
        "header.of_the_attacker",
        "smuggling",
        SENDABLE,
        header("X-Trace", "1\r\nX-Admin: 1", "/x", "X-Admin"),
        header("X-Trace", "1", "/x", "X-Trace"),
    ),
    Attack(
        "header.bare_line_feed",
        "smuggling",
        SENDABLE,
        header("X-Trace", "1\nX-Admin: 1", "/x", "X-Admin"),
        header("X-Trace", "1", "/x", "X-Trace"),
    ),
    Attack(
        "header.in_the_path",
        "smuggling",
        SENDABLE,
        header("X-Trace", "1", "/x HTTP/1.1\r\nX-Admin: 1\r\nX-Rest:", "X-Admin"),
        header("X-Trace", "1", "/x", "X-Trace"),
    ),
    _answer(
        "answer.redirect",
        STATUS,
        _json(b'[{"id": "7", "amount": "9.00"}]', 302, Location="http://127.0.0.1:1/"),
        [{"id": "7", "amount": "9.00"}],
    ),
    _answer("answer.member_twice", ONCE, _json(b'[{"id": "7", "amount": "1", "amount": "9"}]'), [{"id": "7", "amount": "9"}]),
    _answer("answer.html", JSON, _json(ROWS, media="text/html"), [{"id": "7", "amount": "1.00"}]),
    _answer("answer.gzip_that_is_none", CODING, _json(ROWS, Content_Encoding="gzip"), [{"id": "7", "amount": "1.00"}]),
    _answer("answer.exponent_bomb", FINITE, _json(b'[{"id": "7", "amount": 1e999999}]'), [{"id": "7", "amount": Decimal("1e999999")}]),
    _answer("answer.nan", FINITE, _json(b'[{"id": "7", "amount": Infinity}]'), [{"id": "7", "amount": Decimal("Infinity")}]),
    Attack("answer.unasked", "hostile answers", QUIET, poisoned(b'[{"id": "666"}]'), poisoned(b"")),
    _wire(
        "wire.length_and_chunks",
        ONE_LENGTH,
        OK + b"Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n",
        b"EVIL",
    ),
    _wire("wire.two_lengths", NUMBER, OK + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\nEVIL", b"EVIL"),
    _wire("wire.too_long", LIMIT, OK + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000, b"x" * 5000),
    _wire("wire.chunk_longer_than_said", CHUNK, OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nEVILXX0\r\n\r\n", b"EVIL"),
    _wire("wire.folded_header", FOLDED, OK + b"X-A: 1\r\n Content-Length: 9\r\nContent-Length: 4\r\n\r\nEVIL", b"EVIL"),
    _wire("wire.other_protocol", SWITCH, b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 4\r\n\r\nEVIL", b"EVIL"),
)
