"""One bounded HTTP exchange, shared by the kinds that speak HTTP: kept-alive connections, one deadline over everything, no surprises.

It takes no redirect, proxy, cookie or netrc from anybody, decodes no content encoding, and hands status and media type back
beside the raw bytes, so that a kind looks at them before it parses anything. Knows nothing of SOAP or JSON.

A request is never sent twice. A kept connection is looked at before use and dropped when the peer has closed it or has said something
unasked; once a byte is out, whatever goes wrong is the caller's to hear.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from adapters import clear, http1, tcp, watchdog
from adapters.base import Call, Events
from adapters.blocks import strict
from adapters.errors import AdapterError, BadLogon, DeadlineExceeded, Failed, Misconfigured, Misread, OutcomeUnknown, Unavailable
from adapters.events import SILENT
from adapters.pool import Pool

MOST = 16 * 2**20  # bytes of an answer's body
_SENDABLE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\u0100-\U0010ffff]*").fullmatch
IDLE = 50.0  # seconds a connection is kept; servers and firewalls commonly forget one after 60

SYSTEM_KEYS: Mapping[str, Any] = {
    "tls": {**strict("", ca={"type": "string"}, cert={"type": "string"}, key={"type": "string"}), "minProperties": 1},
    "pool": strict("max", max={"type": "integer", "minimum": 1}),
}
"""JSON Schema of what every HTTP-speaking system may say: a private CA, our own certificate and its key, how many connections at most."""


def calls(system: Mapping[str, Any]) -> int:
    """See base.TargetModule: what both HTTP-speaking kinds take at once."""
    most: int = system.get("pool", {}).get("max", 32)
    return most


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, nothing of it parsed. `media` is the media type in lower case without parameters, '' when there is none;
    the names of `headers` are in lower case too."""

    status: int
    media: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Line:
    """A connection; `sock` is None before it is made and after it was dropped."""

    sock: socket.socket | None = None


class Wire:
    """The way to one base URL. Thread-safe; opens connections when they are needed."""

    def __init__(self, name: str, url: str, system: Mapping[str, Any], events: Events = SILENT) -> None:
        """`system` is the system's block (SYSTEM_KEYS). Raises Misconfigured for a URL that is not plain http(s)://host[:port][/path]."""
        self.name = name
        self._host, self._port, self.path, secure = _parts(name, url)
        if not secure:
            clear.refuse(name, self._host, system, "use an https URL")
        self._tls = _tls(name, system.get("tls", {})) if secure else None
        self._authority = urlsplit(url).netloc
        self._events = events
        self._fired = partial(events.happened, "watchdog_fired", name)
        self._pool: Pool[Line] = Pool(name, self._open, _close, size=calls(system), idle=IDLE, fit=_quiet, events=events)

    def send(self, call: Call, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """One request and its whole answer within the call's deadline. `path` is what follows the base URL, already percent-encoded."""
        call.left()
        return self._exchange(call, method, self.path + path or "/", headers, body)

    def probe(self, timeout: float) -> None:
        """Return when something answers in HTTP. `OPTIONS *` concerns the server as such: it starts nothing and costs nothing."""
        call = Call("probe", None, {}, time.monotonic() + timeout)
        answer = self._exchange(call, "OPTIONS", "*", {}, None)
        if answer.status in (502, 503, 504):
            raise refusal(self.name, answer)

    def close(self) -> None:
        """Close what is idle now and the rest as it comes back."""
        self._pool.close()

    def _exchange(self, call: Call, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        request = self._request(method, target, headers, body)
        with self._pool.lease(call.deadline, background=call.background) as line, unsettled(call):
            with self._bounded(line, call.deadline):
                assert line.sock is not None
                line.sock.sendall(request)
                told = http1.receive(line.sock.recv_into, MOST)
            if not told.reusable:
                _close(line)
            if told.headers.get("content-encoding", "identity").lower() != "identity":
                raise Misread(f"{self.name} answered with a content encoding that was not asked for", backend=self.name)
        media = told.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Answer(told.status, media, told.headers, told.body)

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._authority}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body or b'')}")
        if not all(map(_SENDABLE, lines)) or " " in target:
            raise Misconfigured(f"a header or the path for {self.name} holds what HTTP can't send", backend=self.name)
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")

    def _open(self, deadline: float) -> Line:
        began, line = time.monotonic(), Line()
        with self._bounded(line, deadline):
            line.sock = tcp.connect(self._host, self._port, deadline)
            line.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            if self._tls is not None:  # the handshake is a step of its own so that the watchdog sees the wrapped socket while it goes on
                line.sock = secured = self._tls.wrap_socket(
                    line.sock, server_hostname=self._host, do_handshake_on_connect=False, suppress_ragged_eofs=False
                )
                secured.do_handshake()
        self._events.took("connect", self.name, time.monotonic() - began)
        return line

    @contextmanager
    def _bounded(self, line: Line, deadline: float) -> Iterator[None]:
        """Whatever happens inside ends by `deadline`, as an AdapterError: the one place where the library's exceptions are mapped.

        A socket's own time-out bounds one read, and a peer that trickles never reaches it; the watchdog's shutdown ends the whole.
        """
        if line.sock is not None:
            line.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            with watchdog.limit(deadline, partial(_cut, line), told=self._fired) as alarm:
                try:
                    yield
                except (OSError, ValueError) as error:
                    raise self._error(error, late=alarm.fired) from None
                if alarm.fired:
                    raise self._error(TimeoutError(), late=True)
        except AdapterError:
            _close(line)
            raise

    def _error(self, error: Exception, *, late: bool) -> AdapterError:
        name = self.name
        if late or isinstance(error, TimeoutError):
            return DeadlineExceeded(f"{name} did not answer in time", backend=name)
        match error:
            case ssl.SSLCertVerificationError():
                return Misconfigured(f"the TLS certificate of {name} is not one that it may be trusted by", backend=name)
            case socket.gaierror():
                return Unavailable(f"the host name of {name} could not be resolved", backend=name)
            case ConnectionRefusedError():
                return Unavailable(f"{name} refused the connection", backend=name)
            case http1.TooLong():
                return Misread(f"{name} answered with more than {MOST} bytes", backend=name)
            case OSError():
                return Unavailable(f"{name} ended the connection before its answer was complete", backend=name)
        return Misread(f"{name} did not answer in HTTP", backend=name)


def refusal(backend: str, answer: Answer) -> AdapterError:
    """The error that a status is when the kind has no more particular meaning for it. Nothing of the body is shown."""
    said = f"{backend} answered with HTTP status {answer.status}"
    match answer.status:
        case 429 | 502 | 503 | 504:
            return Unavailable(said, backend=backend)
        case 401 | 403 | 407:
            return BadLogon(f"{said}: it does not accept the facade's credential", backend=backend)
        case status if 300 <= status < 400:
            return Misread(f"{said}: redirects are not followed", backend=backend)
        case status if status >= 400:
            return Failed(said, backend=backend)
    return Misread(said, backend=backend)


@contextmanager
def unsettled(call: Call, *, unless: bool = False) -> Iterator[None]:
    """An answer that can't be used inside the block: for a write nobody knows now whether it happened."""
    try:
        yield
    except AdapterError as error:
        if call.effect != "write" or unless:
            raise
        raise OutcomeUnknown(f"the write was sent; {error.detail}", backend=error.backend) from None


def _parts(name: str, url: str) -> tuple[str, int, str, bool]:
    """Host, port, path without its last slash, and whether it is https."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        host = host and host.encode("idna").decode()
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https") or parts.username is not None or parts.query or parts.fragment:
        raise Misconfigured(f"the URL of {name} must look like https://host:port/path, without user, query or fragment", backend=name)
    secure = parts.scheme == "https"
    return host, port or (443 if secure else 80), parts.path.rstrip("/"), secure


def _tls(name: str, block: Mapping[str, str]) -> ssl.SSLContext:
    """Verification is always on: by `ca` alone (PEM text, or the path of its file) when it is given, else by the machine's authorities.
    Who must show a certificate of ours has it, and its key, as PEM text. Raises Misconfigured."""
    ca = block.get("ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(**{"cadata" if "-----BEGIN" in ca else "cafile": ca})
    except OSError:  # SSLError too
        raise Misconfigured(f"tls.ca of {name} is neither PEM certificates nor a file of them", backend=name) from None
    if "cert" in block or "key" in block:
        _show(name, context, block.get("cert", ""), block.get("key", ""))
    return context


def _show(name: str, context: ssl.SSLContext, cert: str, key: str) -> None:
    """OpenSSL reads a key from a file only: it gets one in memory, so that no disk ever has it."""
    held = os.memfd_create("figway-tls")
    try:
        with open(held, "w", encoding="ascii", closefd=False) as file:
            file.write(f"{cert}\n{key}\n")
        context.load_cert_chain(f"/proc/self/fd/{held}", password=lambda: "")  # or it asks at the terminal
    except (OSError, ValueError):
        raise Misconfigured(f"tls.cert and tls.key of {name} are not a certificate and its key, as PEM text", backend=name) from None
    finally:
        os.close(held)


def _quiet(line: Line, _idle: float) -> bool:
    """A kept connection may be used when it is open and nothing has come. Of TLS nothing waits decrypted: a reader asks for more than a
    record holds."""
    return line.sock is not None and tcp.quiet(line.sock)


def _cut(line: Line) -> None:
    if line.sock is not None:
        tcp.cut(line.sock)


def _close(line: Line) -> None:
    sock, line.sock = line.sock, None
    if sock is not None:
        with suppress(OSError):
            sock.close()
