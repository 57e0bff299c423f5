"""TLS with callers, under real gunicorn: who is let in, what is said to whom, and that nobody waits for somebody else's handshake."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.flow.doubtful import BODY, ONE, POST
from tests.flow.shelf import Running, serving
from tests.flow.test_under_fire import FIND
from tests.pki import Authority, Issued
from tests.waiting import until

PROXY = "127.0.0.2"
ACCESS = f"""
certificates:
  batch: {{san: client, scopes: ["things:read"]}}
proxy: {{networks: [{PROXY}/32], certificate: X-Client-Cert}}
"""
FILES = {"endpoints/find.yaml": FIND.format(name="find"), "access.yaml": ACCESS}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Issued:
    return authority.issue("client", "client")


@pytest.fixture(scope="module")
def facade(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Callers may show a certificate; impatient."""
    server = authority.issue("server")
    settings = {"FIGWAY_TLS_CERT": str(server.cert), "FIGWAY_TLS_KEY": str(server.key), "FIGWAY_TLS_CLIENT_CA": str(authority.file)}
    settings |= {"FIGWAY_PATIENCE": "2", "FIGWAY_DRAIN": "0", "FIGWAY_ADMIN_BIND": "127.0.0.1:0"}
    with serving(tmp_path_factory.mktemp("tls"), FILES, **settings) as running:
        yield running


def line(facade: Running, held: ExitStack, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Under TLS; an end that nobody has announced is an error there."""
    wire = held.enter_context(socket.create_connection(facade.address, timeout=10))
    return held.enter_context(context.wrap_socket(wire, server_hostname="127.0.0.1", suppress_ragged_eofs=False))


def ask(facade: Running, context: ssl.SSLContext, path: str = "/v1/things/1") -> http.client.HTTPResponse:
    with closing(http.client.HTTPSConnection(*facade.address, timeout=10, context=context)) as connection:
        return facade.ask(path, connection)


def rest(line: ssl.SSLSocket) -> bytes:
    return b"".join(iter(lambda: line.recv(65536), b""))


def statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def test_it_serves_under_tls_and_says_so_in_every_answer(facade: Running, authority: Authority, client: Issued) -> None:
    [ready] = facade.told("ready")
    assert (ready["address"][:8], ready["admin"][:7]) == ("https://", "http://")  # that listener is of this machine alone
    for trusted in (authority.trusted(), authority.trusted(client)):
        assert ask(facade, trusted).status == 200
    with ExitStack() as held:
        for sent, status in ((ONE, 200), ("GET /nowhere HTTP/1.1\r\nHost: figway\r\n", 404), ("GET / HTTP/1.1\r\nX Y: 1\r\n", 400)):
            caller = line(facade, held, authority.trusted())
            caller.sendall(f"{sent}Connection: close\r\n\r\n".replace("KEY", facade.key).encode())
            answer = rest(caller)
            assert statuses(answer) == [status]
            for header in (b"Strict-Transport-Security: max-age=31536000", b"X-Content-Type-Options: nosniff", b"Cache-Control: no-store"):
                assert answer.count(header) == 1


def status(facade: Running, context: ssl.SSLContext, headers: str, source: str = "127.0.0.1") -> int:
    with ExitStack() as held:
        wire = held.enter_context(socket.create_connection(facade.address, 10, (source, 0)))
        caller = held.enter_context(context.wrap_socket(wire, server_hostname="127.0.0.1"))
        caller.sendall(f"GET /v1/things/1 HTTP/1.1\r\nHost: figway\r\nConnection: close\r\n{headers}\r\n".encode())
        [found] = statuses(rest(caller))
        return found


def test_who_shows_a_certificate_that_is_known_needs_no_key(facade: Running, authority: Authority, client: Issued) -> None:
    assert status(facade, authority.trusted(client), "") == 200
    assert status(facade, authority.trusted(authority.issue("nobody", "client")), "") == 401
    assert status(facade, authority.trusted(), "") == 401


def test_a_proxy_alone_says_whose_certificate_it_has_seen(facade: Running, authority: Authority, client: Issued) -> None:
    told = f"X-Client-Cert: {quote(client.cert.read_text(), safe='')}\r\n"
    for headers, here, there in (
        (told, 400, 200),
        (told * 2, 400, 400),
        (told.replace("-", "_", 2), 401, 401),  # the same in an environ, and never taken for it
        (told.replace("-", "_", 2) + told, 400, 200),
        ("X-Client-Cert: \r\n", 400, 401),
        (f"X: y\r\n\t{told}", 400, 400),
    ):
        assert (status(facade, authority.trusted(), headers), status(facade, authority.trusted(), headers, PROXY)) == (here, there), headers
    assert status(facade, authority.trusted(client), "", PROXY) == 401  # its own certificate is nobody's


def test_no_header_says_where_the_application_begins_or_how_it_was_reached(facade: Running, authority: Authority, client: Issued) -> None:
    for header in (
        "SCRIPT_NAME: /v1",
        "PATH_INFO: /health/live",
        "X-Forwarded-Proto: ftp",
        "X-HTTP-Method-Override: PUT",
        "X-Original-URL: /",
    ):
        assert status(facade, authority.trusted(client), f"{header}\r\n") == 200
    with socket.create_connection(facade.address, timeout=10) as wire:
        wire.sendall(b"PROXY TCP4 127.0.0.2 127.0.0.1 1 2\r\n")
        assert wire.recv(100) == b""


def test_requests_are_told_apart_however_they_lie_in_records(facade: Running, authority: Authority) -> None:
    body = '{"id": "1"' + " " * 200_000 + "}"
    last = f"{ONE}Connection: close\r\n\r\n"
    sent = f"{ONE}\r\n{POST}Content-Length: {len(body)}\r\n\r\n{body}{POST}Content-Length: 11\r\n\r\n{BODY}{last}"
    data = sent.replace("KEY", facade.key).encode()
    with ExitStack() as held:
        for piece in (len(data), 5000, 16384, 16385):
            caller = line(facade, held, authority.trusted())
            for at in range(0, len(data), piece):
                caller.sendall(data[at : at + piece])
            assert statuses(rest(caller)) == [200, 200, 200, 200]
        caller = line(facade, held, authority.trusted())
        for at in range(len(last.replace("KEY", facade.key))):
            caller.sendall(last.replace("KEY", facade.key).encode()[at : at + 1])
        assert statuses(rest(caller)) == [200]


def test_who_asks_before_sending_a_body_is_told_to_go_on(facade: Running, authority: Authority) -> None:
    with ExitStack() as held:
        caller = line(facade, held, authority.trusted())
        caller.sendall(f"{POST}Expect: 100-continue\r\nContent-Length: 11\r\nConnection: close\r\n\r\n".replace("KEY", facade.key).encode())
        assert caller.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(BODY.encode())
        assert statuses(rest(caller)) == [200]


def test_who_has_said_all_and_ends_its_half_gets_its_answer(facade: Running, authority: Authority) -> None:
    came, to_go = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = authority.trusted().wrap_bio(came, to_go, server_hostname="127.0.0.1")
    with socket.create_connection(facade.address, timeout=10) as wire:

        def turn() -> None:
            wire.sendall(to_go.read())
            came.write(wire.recv(65536))

        with pytest.raises(ssl.SSLWantReadError):
            half.do_handshake()
        turn()
        half.do_handshake()
        half.write(f"{ONE}\r\n".replace("KEY", facade.key).encode())
        with pytest.raises(ssl.SSLWantReadError):
            half.unwrap()  # this says that there is no more, in the same piece as the request
        wire.sendall(to_go.read())
        wire.shutdown(socket.SHUT_WR)
        while more := wire.recv(65536):
            came.write(more)
        with pytest.raises(ssl.SSLError, match="APPLICATION_DATA_AFTER_CLOSE_NOTIFY"):  # Python can't read it any more, but there it is
            half.unwrap()


def test_a_reader_that_is_slow_gets_all_of_a_long_answer(facade: Running, authority: Authority) -> None:
    with ExitStack() as held:
        caller = line(facade, held, authority.trusted())
        caller.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: figway\r\nConnection: close\r\n\r\n")
        time.sleep(0.3)  # the kernel's buffers are full
        head, _, body = rest(caller).partition(b"\r\n\r\n")
        assert len(body) == int(head.lower().partition(b"content-length: ")[2].split()[0]) > 1_000_000


def test_what_is_not_our_tls_is_closed_and_told_why(facade: Running, authority: Authority, tmp_path: Path) -> None:
    with socket.create_connection(facade.address, timeout=10) as plain:
        plain.sendall(f"{ONE}\r\n".replace("KEY", facade.key).encode())
        assert plain.recv(65536) == b""  # and no reset
    until(lambda: (facade.told("tls") or [{}])[-1].get("reason") == "HTTP_REQUEST")
    old = authority.trusted()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        ask(facade, old)


def test_a_certificate_that_is_shown_is_held_against_the_authority(facade: Running, authority: Authority, tmp_path: Path) -> None:
    strangers = Authority(tmp_path, "authority")  # of the same name
    wrong = {
        "UNKNOWN_CA|DECRYPT_ERROR": strangers.issue("stranger", "client"),
        "CERTIFICATE_EXPIRED": authority.issue("late", "client", -timedelta(hours=1)),
        "UNSUPPORTED_CERTIFICATE": authority.issue("another-server", "server"),
    }
    for alert, shown in wrong.items():
        with pytest.raises(ssl.SSLError, match=alert):
            ask(facade, authority.trusted(shown))
    assert ask(facade, authority.trusted()).status == 200


def test_handshakes_that_stall_are_cut_and_keep_nobody_waiting(facade: Running, authority: Authority) -> None:
    hello = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        authority.trusted().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
    begun = hello.read()
    with ExitStack() as held:
        began, stalled = time.monotonic(), []
        for sent in [begun[:-1], begun, b"", begun[:3]] * 50:
            stalled.append(held.enter_context(socket.create_connection(facade.address, timeout=10)))
            stalled[-1].sendall(sent)
        for _ in range(10):
            asked = time.monotonic()
            assert ask(facade, authority.trusted()).status == 200
            assert time.monotonic() - asked < 1
        for wire in stalled:
            b"".join(iter(lambda wire=wire: wire.recv(65536), b""))  # type: ignore[misc]
        assert time.monotonic() - began < 5


def test_certificates_are_rotated_without_a_restart(facade: Running, authority: Authority, tmp_path: Path) -> None:
    def shown() -> bytes:
        with ExitStack() as held:
            return line(facade, held, authority.trusted()).getpeercert(binary_form=True) or b""

    def put(new: Path, old: str) -> None:
        os.replace(shutil.copy(new, tmp_path / "new"), facade.environ[old])

    before, server = shown(), authority.issue("server-2")
    put(server.cert, "FIGWAY_TLS_CERT")
    assert shown() == before  # half of it is no certificate
    facade.hup()
    for event in ("tls", "catalogue"):
        until(lambda event=event: "key values mismatch" in (facade.told(event) or [{}])[-1].get("fault", ""))  # type: ignore[misc]
    put(server.key, "FIGWAY_TLS_KEY")
    assert shown() == server.der


def test_where_a_certificate_is_required_nobody_is_served_without(authority: Authority, client: Issued, tmp_path: Path) -> None:
    server = authority.issue("strict")
    settings = {"FIGWAY_TLS_CERT": str(server.cert), "FIGWAY_TLS_KEY": str(server.key), "FIGWAY_TLS_CLIENT_CA": str(authority.file)}
    with serving(tmp_path, FIGWAY_TLS_CLIENT="required", FIGWAY_DRAIN="0", **settings) as facade:
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            ask(facade, authority.trusted())
        assert ask(facade, authority.trusted(client)).status == 200
