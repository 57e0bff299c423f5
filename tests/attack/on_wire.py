"""What callers send over the wire: heads that a proxy reads in another way, bodies and heads without end, names that come back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.attack.minted import certificate
from tests.attack.on_callers import INCOME, PAYMENT
from tests.attack.on_limits import pem
from tests.attack.parts import DEMO, Attack, Control, Seen, Site, control
from tests.attack.served import A, Target, unique

INTAKE, EDGE, WORKER = "wrapper.intake", "wrapper.edge", "wrapper.worker"
DOUBT = control("one reading of a head", (INTAKE, "if said := doubt(self.request):", 'if said := "":'))
LENGTH = control(
    "the longest body",
    (INTAKE, "if length > MAX_BODY:", "if False:"),
    ("wrapper.http", 'app.config["MAX_CONTENT_LENGTH"] = MAX_BODY', "pass"),
)
CHUNKS = control(
    "the longest body in chunks",
    (INTAKE, "if self._size > MAX_BODY or self._at - self._size > MAX_FRAMES:", "if False:"),
    ("wrapper.http", 'app.config["MAX_CONTENT_LENGTH"] = MAX_BODY', "pass"),
)
HEAD = control("the longest head", (INTAKE, "if (found.end() if found else self._scanned) <= MAX_HEAD:", "if True:"))
FIELDS = control("so many headers", (WORKER, "limit_request_fields = 100", "limit_request_fields = 0"))
FIELD = control(
    "the longest header",
    (WORKER, "limit_request_line = limit_request_field_size = 8190", "limit_request_line = limit_request_field_size = 30000"),
)
TRACE = control("a request's id is one", (EDGE, "sent if _TRACE.fullmatch(sent) else", "sent if sent else"))
MAPPED = control("X_Y is not X-Y", (WORKER, 'header_map = "drop"', 'header_map = "dangerous"'))
FORWARDED = control(
    "no header says where the application begins",
    (
        WORKER,
        'forwarded_allow_ips = proxy_allow_ips = forwarder_headers = ""',
        'forwarded_allow_ips = proxy_allow_ips = "*"\nforwarder_headers = "SCRIPT_NAME,PATH_INFO"',
    ),
)
BACK = control("a redirect stays here", (EDGE, "error.new_url = urlsplit(error.new_url).path", "pass"))
PATIENCE = control(
    "a caller has so long", ("wrapper.callers", "for line in [line for line in self._lines if line.deadline < now]:", "for line in ():")
)

ACCESS = f"""
proxy: {{networks: [127.0.0.0/8], certificate: X-Client-Cert}}
certificates:
  batch: {{sha256: "FINGERPRINT", scopes: ["ledger:read"], purposes: [credit-risk], claims: {{customer: ["{A}"]}}}}
"""


def _access() -> str:
    import hashlib

    return ACCESS.replace("FINGERPRINT", hashlib.sha256(certificate("batch")).hexdigest())


PROXIED = Site("proxied", files={"access.yaml": _access()})
HASTY = Site("hasty", settings={"FIGWAY_PATIENCE": "2"})
HERE = INCOME.format(A)


def answered(target: Target, data: bytes, wanted: bytes = b" 200 ") -> Seen:
    said = target.send(data)
    return Seen(wanted in said.partition(b"\r\n")[0] + b" ", said[:60].decode("latin-1"))


def gets(path: str = HERE, *lines: str, key: str | None = "alice") -> Callable[[Target], Seen]:
    """Got when this head is answered with data."""
    return lambda target: answered(target, target.head(f"GET {path}", key, *lines, "Connection: close"))


def hosts(*lines: str) -> Callable[[Target], Seen]:
    """The same, with these lines for its Host."""

    def act(target: Target) -> Seen:
        said = [f"GET {HERE} HTTP/1.1", *lines, f"Authorization: Bearer {target.key('alice')}", "Connection: close", "", ""]
        return answered(target, "\r\n".join(said).encode())

    return act


def pays(size: int, chunked: bool = False, keys: int = 1) -> Callable[[Target], Seen]:
    """A payment in a body of so many bytes, blanks most of them. Got when it is taken."""

    def act(target: Target) -> Seen:
        body = json.dumps(PAYMENT).encode().ljust(size)
        lines = ["Content-Type: application/json", "Connection: close", *[f"Idempotency-Key: {unique()}" for _ in range(keys)]]
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
        if chunked:
            pieces = [body[at : at + 60_000] for at in range(0, len(body), 60_000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        return answered(target, target.head("POST /v1/payments", "alice", *lines) + body, b" 202 ")

    return act


def echoed(sent: str) -> Callable[[Target], Seen]:
    """Got when what was sent as the request's id comes back as it is."""

    def act(target: Target) -> Seen:
        met = target.ask(f"GET {HERE}", headers={"X-Request-Id": sent}).headers["x-request-id"]
        return Seen(met == sent, met[:60])

    return act


def dawdles(seconds: float) -> Callable[[Target], Seen]:
    """A head, and its end so many seconds later. Got when it is answered all the same."""
    import socket

    def act(target: Target) -> Seen:
        whole = target.head(f"GET {HERE}", "alice", "Connection: close")
        with socket.create_connection(target.facade.address, 10) as line:
            line.sendall(whole[:-2])
            time.sleep(seconds)
            try:
                line.sendall(whole[-2:])
                said = line.recv(4096)
            except OSError as error:
                return Seen(False, type(error).__name__)
        return Seen(said.startswith(b"HTTP/1.1 200"), said[:40].decode("latin-1"))

    return act


def sent_to(host: str, wanted: str) -> Callable[[Target], Seen]:
    """Where a path without its last slash sends a caller who names this host: got when it is there."""

    def act(target: Target) -> Seen:
        said = target.send(f"GET /docs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()).decode("latin-1")
        place = next((line.partition(": ")[2] for line in said.splitlines() if line.lower().startswith("location:")), "nowhere")
        return Seen(place == wanted, f"sent to {place}")

    return act


def _head(name: str, attack: Any, by: Control = DOUBT, twin: Any = None, site: Site = DEMO) -> Attack:
    return Attack(f"head.{name}", "smuggling", by, attack, twin or gets(), site)


def _size(name: str, by: Control, attack: Any, twin: Any) -> Attack:
    return Attack(f"size.{name}", "oversized", by, attack, twin, DEMO)


ENCODED = HERE.replace("/income", "%2Fincome")
CERTIFIED = gets(HERE, f"X-Client-Cert: {pem('batch')}", key=None)
ATTACKS = (
    _head("encoded_slash", gets(ENCODED)),
    _head("absolute_address", gets(f"http://evil.example{HERE}")),
    _head("no_host", hosts()),
    _head("host_with_a_path", hosts("Host: figway/../admin")),
    _head("part_after_a_hash", gets(f"{HERE}#/public")),
    _head("two_request_ids", gets(HERE, "X-Request-Id: a", "X-Request-Id: b")),
    _head("two_idempotency_keys", pays(500, keys=2), twin=pays(500)),
    _head("script_name", gets(f"/public{HERE}", "SCRIPT_NAME: /public"), FORWARDED),
    _head("certificate_with_underscores", gets(HERE, f"X_Client_Cert: {pem('batch')}", key=None), MAPPED, CERTIFIED, PROXIED),
    Attack(
        "head.sent_elsewhere_by_its_host",
        "smuggling",
        BACK,
        sent_to("evil.example", "http://evil.example/docs/"),
        sent_to("figway", "/docs/"),
        DEMO,
    ),
    _size("body", LENGTH, pays(3 * 2**20), pays(2**19)),
    _size("body_in_chunks", CHUNKS, pays(3 * 2**20, True), pays(2**19, True)),
    _size("many_headers", FIELDS, gets(HERE, *[f"X-{n}: 1" for n in range(1500)]), gets(HERE, *[f"X-{n}: 1" for n in range(60)])),
    _size("long_header", FIELD, gets(HERE, "X-Long: " + "x" * 20_000), gets(HERE, "X-Long: " + "x" * 4000)),
    _size(
        "long_head", HEAD, gets(HERE, *[f"X-{n}: {'x' * 8000}" for n in range(60)]), gets(HERE, *[f"X-{n}: {'x' * 300}" for n in range(60)])
    ),
    Attack("name.markup_that_comes_back", "oversized", TRACE, echoed("<script>alert(1)</script>"), echoed("my-id.1"), DEMO),
    Attack("name.without_end_that_comes_back", "oversized", TRACE, echoed("x" * 2000), echoed("x" * 64), DEMO),
    Attack("size.head_that_takes_its_time", "oversized", PATIENCE, dawdles(4.0), dawdles(0.3), HASTY),
)
