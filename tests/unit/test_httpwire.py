"""The bounded HTTP exchange: nothing makes it wait past its deadline, wander off, or send twice."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Call
from adapters.errors import AdapterError, DeadlineExceeded, Misconfigured, Misread, OutcomeUnknown, PoolExhausted, Unavailable
from adapters.httpwire import MOST, Answer, Wire
from fixtures.web import Asked, Page, Web
from tests.pki import self_signed
from tests.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def call(seconds: float = 5.0, effect: Any = "read") -> Call:
    return Call("test", None, {}, time.monotonic() + seconds, effect=effect)


def get(wire: Wire, seconds: float = 5.0, effect: Any = "read") -> Answer:
    return wire.send(call(seconds, effect), "POST" if effect == "write" else "GET", "/x", {})


SHORT = 0.4  # for calls that end by their deadline; all others have plenty


def refused(wire: Wire, seconds: float = 5.0, effect: Any = "read") -> AdapterError:
    """The error of a call, which must come in time."""
    start = time.monotonic()
    with pytest.raises(AdapterError) as met:
        get(wire, seconds, effect)
    assert time.monotonic() - start < seconds + 1
    return met.value


class Counting(Web):
    """Says `ok` and remembers what it was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__("web", self._page, tls)
        self.asked: list[Asked] = []
        self.headers: dict[str, str] = {}
        self.body = b"ok"

    def _page(self, asked: Asked) -> Page:
        self.asked.append(asked)
        return Page(200, "Text/Plain; charset=utf-8", self.body, self.headers)


@pytest.fixture
def web() -> Iterator[Counting]:
    web = Counting()
    web.port = web.start()[1]  # type: ignore[attr-defined]
    yield web
    web.stop()


@pytest.fixture
def wire(web: Counting) -> Iterator[Wire]:
    wire = Wire("web", f"http://127.0.0.1:{web.port}/base/", {})  # type: ignore[attr-defined]
    yield wire
    wire.close()


@contextlib.contextmanager
def peer(act: Callable[[socket.socket], None], system: dict[str, Any] | None = None, scheme: str = "http") -> Iterator[Wire]:
    """A wire to a server that does `act` on each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lines: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line = listener.accept()[0]
                    lines.append(line)
                    threading.Thread(target=quietly, args=(line,), daemon=True).start()

        def quietly(line: socket.socket) -> None:
            with contextlib.suppress(OSError):
                act(line)

        threading.Thread(target=serve, daemon=True).start()
        wire = Wire("peer", f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", system or {})
        yield wire
        wire.close()
        listener.shutdown(socket.SHUT_RDWR)
        for line in lines:
            line.close()


def trickle(head: bytes, drops: bytes) -> Callable[[socket.socket], None]:
    def act(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(head)
        for byte in drops * 100:
            line.sendall(bytes([byte]))
            time.sleep(0.03)

    return act


def test_an_answer_is_handed_over_unparsed_with_its_status_and_media_type(web: Counting, wire: Wire) -> None:
    answer = get(wire)
    assert (answer.status, answer.media, answer.body) == (200, "text/plain", b"ok")
    assert web.asked[0].target == "/base/x"


def test_a_connection_is_used_again(web: Counting, wire: Wire) -> None:
    for _ in range(20):
        get(wire)
    assert web.connections == 1


def test_a_connection_that_the_server_closed_while_idle_is_replaced_unseen(web: Counting, wire: Wire) -> None:
    for _ in range(5):
        get(wire)
        web.hang_up()
        time.sleep(0.02)
    get(wire)
    assert (web.connections, len(web.asked)) == (6, 6)


def test_a_connection_on_which_something_unasked_arrived_is_not_used_again() -> None:
    answers = iter([OK, OK.replace(b"ok", b"no")])
    taken, sent = threading.Event(), threading.Event()

    def act(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(next(answers))
        taken.wait(5)
        line.sendall(OK.replace(b"ok", b"XX"))  # somebody else's answer
        sent.set()

    with peer(act) as wire:
        assert get(wire).body == b"ok"
        taken.set()
        assert sent.wait(5)
        assert get(wire).body == b"no"


def test_a_request_that_got_no_answer_is_not_sent_again(web: Counting, wire: Wire) -> None:
    get(wire)
    web.fault = "hang_up"
    assert type(refused(wire)) is Unavailable
    assert len(web.asked) == 2


@pytest.mark.parametrize(
    "head, drops",
    [
        (b"", b"HTTP/1.1 200 OK\r\nX-Long: "),
        (b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_bytes_that_trickle_do_not_move_the_deadline(head: bytes, drops: bytes) -> None:
    with peer(trickle(head, drops)) as wire:
        assert type(refused(wire, SHORT)) is DeadlineExceeded


def test_a_body_that_the_server_does_not_read_does_not_move_the_deadline() -> None:
    with peer(lambda line: time.sleep(3)) as wire:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            wire.send(call(0.4), "POST", "/", {}, b"x" * 50_000_000)
        assert time.monotonic() - start < 1.4


def test_after_a_deadline_the_connection_is_never_used_again(web: Counting, wire: Wire) -> None:
    get(wire)
    web.fault = "mute"
    assert type(refused(wire, 0.2)) is DeadlineExceeded
    web.fault = ""
    assert get(wire).body == b"ok"
    assert web.connections == 2


def test_a_redirect_is_an_answer_not_an_errand(web: Counting, wire: Wire) -> None:
    web.fault = "redirect"
    assert get(wire).status == 302
    assert len(web.asked) == 1


def test_proxies_and_netrc_of_the_environment_are_nothing_to_it(
    web: Counting, wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert get(wire).status == 200
    assert "Authorization" not in web.asked[0].headers


def test_cookies_are_not_kept(web: Counting, wire: Wire) -> None:
    web.headers = {"Set-Cookie": "session=other-customer"}
    get(wire)
    get(wire)
    assert "Cookie" not in web.asked[1].headers


@pytest.mark.parametrize("fault", ["huge", "huge_chunked"])
def test_a_body_without_end_is_given_up_at_the_cap(web: Counting, wire: Wire, fault: str) -> None:
    web.fault = fault
    error = refused(wire, 5)
    assert type(error) is Misread
    assert str(MOST) in error.detail


def test_a_compressed_body_is_refused(web: Counting, wire: Wire) -> None:
    web.headers = {"Content-Encoding": "gzip"}
    assert type(refused(wire)) is Misread


@pytest.mark.parametrize("fault", ["short", "hang_up"])
def test_an_answer_that_ends_early_is_unavailable(web: Counting, wire: Wire, fault: str) -> None:
    web.fault = fault
    assert type(refused(wire)) is Unavailable


@pytest.mark.parametrize("size", range(len(OK)))
def test_an_answer_that_is_cut_anywhere_is_never_taken_for_one(size: int) -> None:
    def act(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(OK[:size])
        line.close()

    with peer(act) as wire:
        assert isinstance(refused(wire), Unavailable | Misread)


def test_a_connection_that_the_server_wants_closed_is_not_used_again_though_it_is_open() -> None:
    lines: list[socket.socket] = []

    def act(line: socket.socket) -> None:
        lines.append(line)
        while line.recv(65536):
            line.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    with peer(act) as wire:
        for _ in range(3):
            assert get(wire).body == b"ok"
    assert len(lines) == 3


def test_an_old_server_may_end_its_answer_by_closing() -> None:
    def act(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n<x/>")
        line.close()

    with peer(act) as wire:
        assert get(wire).body == b"<x/>"


def test_a_probe_asks_the_server_and_nothing_behind_it(web: Counting, wire: Wire) -> None:
    wire.probe(5)
    assert web.asked == []
    web.stop()
    with pytest.raises(Unavailable):
        wire.probe(5)
    web.start()


def test_what_is_not_http_is_a_misread() -> None:
    with peer(lambda line: line.sendall(b"220 mail.internal ESMTP\r\n")) as wire:
        error = refused(wire)
        assert type(error) is Misread
        assert "internal" not in error.detail


def test_nobody_listening_is_unavailable_also_for_a_write() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    wire = Wire("none", f"http://127.0.0.1:{port}", {})
    assert type(refused(wire)) is Unavailable
    assert type(refused(wire, effect="write")) is Unavailable


@pytest.mark.parametrize("fault", ["hang_up", "short", "mute", "huge", "trickle"])
def test_a_write_that_was_sent_and_not_answered_has_an_unknown_outcome(web: Counting, wire: Wire, fault: str) -> None:
    web.fault, web.body = fault, b"x" * 100
    assert type(refused(wire, SHORT if fault in ("mute", "trickle") else 5, "write")) is OutcomeUnknown
    assert len(web.asked) == 1


def test_a_name_that_does_not_resolve_is_unavailable_or_late() -> None:
    error = refused(Wire("none", "https://no-such-host.invalid", {}), 1.0)
    assert isinstance(error, Unavailable | DeadlineExceeded)


def test_more_calls_than_connections_wait_and_then_hear_so(web: Counting) -> None:
    wire = Wire("web", f"http://127.0.0.1:{web.port}", {"pool": {"max": 1}})  # type: ignore[attr-defined]
    web.fault = "mute"
    holder = threading.Thread(target=refused, args=(wire, 1.5))
    holder.start()
    until(lambda: web.asked)
    assert type(refused(wire, 0.2)) is PoolExhausted
    holder.join()
    wire.close()


def test_a_deadline_that_has_passed_sends_nothing(web: Counting, wire: Wire) -> None:
    assert type(refused(wire, -0.1)) is DeadlineExceeded
    assert web.asked == []


@pytest.mark.parametrize(
    "url", ["ftp://h", "http://", "h:80", "http://u:p@h/", "http://h/?q=1", "http://h/#f", "http://h:port/", "http://h:99999/"]
)
def test_a_url_that_is_more_or_less_than_a_base_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured) as met:
        Wire("web", url, {})
    assert "u:p" not in met.value.detail


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, and its key in one file."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    path.write_text(self_signed())
    return path


@pytest.fixture
def secure(ca: Path) -> Iterator[Counting]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca)
    web = Counting(context)
    web.port = web.start()[1]  # type: ignore[attr-defined]
    yield web
    web.stop()


def test_tls_with_the_private_ca_that_was_named(secure: Counting, ca: Path) -> None:
    wire = Wire("web", f"https://127.0.0.1:{secure.port}", {"tls": {"ca": str(ca)}})  # type: ignore[attr-defined]
    for _ in range(3):
        assert get(wire).body == b"ok"
    assert secure.connections == 1
    secure.fault, secure.body = "trickle", b"x" * 100
    assert type(refused(wire, SHORT)) is DeadlineExceeded
    wire.close()


def test_an_answer_that_came_unasked_in_the_record_of_another_is_not_the_next_ones(ca: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    rest = io.DEFAULT_BUFFER_SIZE - len(head) - 2  # what is read of a socket at once ends with this answer

    def act(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as secured:
            while secured.recv(65536):
                secured.sendall(head % rest + b"." * rest + OK)

    with peer(act, {"tls": {"ca": str(ca)}}, "https") as wire:
        assert [len(get(wire).body) for _ in range(2)] == [rest, rest]


@pytest.mark.parametrize("polite", [True, False])
def test_a_tls_answer_that_ends_with_the_connection_must_end_in_tls_too(ca: Path, polite: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca)

    def act(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf of what I")
            if polite:
                secured.unwrap()

    with peer(act, {"tls": {"ca": str(ca)}}, "https") as wire:
        if polite:
            assert get(wire).body == b"half of what I"
        else:
            assert type(refused(wire)) is Unavailable


@pytest.mark.parametrize("host, known", [("127.0.0.1", False), ("localhost", True)])
def test_tls_with_an_unknown_ca_or_a_wrong_name_is_our_misconfiguration(secure: Counting, ca: Path, host: str, known: bool) -> None:
    wire = Wire("web", f"https://{host}:{secure.port}", {"tls": {"ca": str(ca)}} if known else {})  # type: ignore[attr-defined]
    assert type(refused(wire)) is Misconfigured
    assert secure.asked == []


def test_a_tls_handshake_that_never_comes_is_late(ca: Path) -> None:
    with peer(lambda line: time.sleep(2), {"tls": {"ca": str(ca)}}, "https") as wire:
        assert type(refused(wire, SHORT)) is DeadlineExceeded


def test_a_peer_that_asks_for_our_certificate_gets_it_and_no_other_way_leads_in(secure: Counting, ca: Path) -> None:
    assert secure.tls is not None
    secure.tls.verify_mode = ssl.CERT_REQUIRED
    secure.tls.load_verify_locations(ca)
    secure.tls.maximum_version = ssl.TLSVersion.TLSv1_2  # it tells who has none in the handshake
    cert, _, key = ca.read_text().partition("-----BEGIN PRIVATE KEY-----")
    shown = {"ca": str(ca), "cert": cert, "key": f"-----BEGIN PRIVATE KEY-----{key}"}
    wire = Wire("web", f"https://127.0.0.1:{secure.port}", {"tls": shown})  # type: ignore[attr-defined]
    assert get(wire).body == b"ok"
    wire.close()
    assert type(refused(Wire("web", f"https://127.0.0.1:{secure.port}", {"tls": {"ca": str(ca)}}))) is Unavailable  # type: ignore[attr-defined]


@pytest.mark.parametrize("own", [{"cert": "x"}, {"cert": "", "key": ""}, {"key": "-----BEGIN PRIVATE KEY-----"}])
def test_a_certificate_of_ours_that_is_none_is_said_at_once(own: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match=r"tls\.cert and tls\.key of web"):
        Wire("web", "https://127.0.0.1", {"tls": own})


def test_a_ca_file_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(Misconfigured, match=r"tls\.ca of web"):
        Wire("web", "https://127.0.0.1", {"tls": {"ca": "/no/such/file"}})


def test_a_closed_wire_says_so(wire: Wire) -> None:
    wire.close()
    wire.close()
    assert type(refused(wire)) is Unavailable


class Heard:
    """Events, as they came."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def happened(self, event: str, system: str) -> None:
        self.all.append((event, system))

    def took(self, what: str, system: str, seconds: float) -> None:
        assert 0 <= seconds < 1
        self.all.append((what, system))

    def level(self, gauge: str, system: str, value: float) -> None:
        pass


def test_connections_that_are_made_and_those_given_up_on_are_told(web: Counting) -> None:
    heard = Heard()
    wire = Wire("web", f"http://127.0.0.1:{web.port}", {}, heard)  # type: ignore[attr-defined]
    get(wire)
    get(wire)
    assert heard.all == [("connect", "web")]
    web.fault = "mute"
    refused(wire, 0.2)
    assert heard.all[0] == ("connect", "web")
    assert heard.all.count(("quarantined", "web")) == 1
    wire.close()


@pytest.mark.parametrize("name, value", [("X", "a\r\nY: b"), ("X", "\u20ac"), ("X", "a\nb")])
def test_a_header_that_would_be_two_is_never_sent(web: Counting, wire: Wire, name: str, value: str) -> None:
    with pytest.raises(Misconfigured) as met:
        wire.send(call(), "GET", "/", {name: value})
    assert value not in met.value.detail
    with pytest.raises(Misconfigured):
        wire.send(call(), "GET", "/a b", {})
    assert web.asked == []
