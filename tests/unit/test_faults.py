"""The fault proxy itself: each fault is what it says, on new connections and on open ones."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from fixtures.faults import Fault, Proxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        with Proxy(server.server_address) as proxy:
            yield proxy
        server.shutdown()


@pytest.fixture
def line(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(proxy.address, 5) as line:
        assert ask(line, b"hello") == b"hello"
        yield line


def ask(line: socket.socket, data: bytes) -> bytes:
    line.sendall(data)
    return read(line, len(data))


def read(line: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (piece := line.recv(count - len(got))):
        got += piece
    return got


def silent(line: socket.socket) -> bool:
    line.settimeout(0.15)
    try:
        return line.recv(1) is None
    except TimeoutError:
        return True
    finally:
        line.settimeout(5)


def test_a_healthy_line_passes_everything(line: socket.socket) -> None:
    data = bytes(range(256)) * 4000
    threading.Thread(target=line.sendall, args=(data,)).start()
    assert read(line, len(data)) == data


def test_latency_delays_the_answer(proxy: Proxy, line: socket.socket) -> None:
    proxy.set(Fault(latency=0.2))
    start = time.monotonic()
    assert ask(line, b"hello") == b"hello"
    assert 0.2 <= time.monotonic() - start < 1


def test_mute_after_some_bytes_goes_on_where_it_stopped(proxy: Proxy, line: socket.socket) -> None:
    proxy.set(Fault(mute=3))
    line.sendall(b"hello")
    assert read(line, 3) == b"hel"
    assert silent(line)
    proxy.clear()
    assert read(line, 2) == b"lo"


def test_mute_at_connect_accepts_and_says_nothing(proxy: Proxy) -> None:
    proxy.set(Fault(mute=0))
    with socket.create_connection(proxy.address, 5) as line:
        line.sendall(b"hello")
        assert silent(line)


def test_trickle_is_so_many_bytes_a_second(proxy: Proxy, line: socket.socket) -> None:
    proxy.set(Fault(trickle=50))
    start = time.monotonic()
    assert ask(line, b"0123456789") == b"0123456789"
    assert 0.2 <= time.monotonic() - start < 1


def test_a_cut_ends_the_answer_after_so_many_bytes(proxy: Proxy, line: socket.socket) -> None:
    proxy.set(Fault(cut=3))
    assert ask(line, b"hello") == b"hel"
    assert line.recv(1) == b""


@pytest.mark.parametrize("at", [0, 3, 5])
def test_a_reset_is_a_reset_even_at_the_answers_end(proxy: Proxy, line: socket.socket, at: int) -> None:
    proxy.set(Fault(cut=at, reset=True))
    line.sendall(b"hello")
    with pytest.raises(ConnectionResetError):
        read(line, 10)


def test_garbage_has_the_length_of_the_answer_and_repeats_by_seed(proxy: Proxy, line: socket.socket) -> None:
    proxy.set(Fault(garbage=True))
    met = ask(line, b"hello")
    assert len(met) == 5
    assert met != b"hello"
    with Proxy(proxy.upstream) as other:
        other.set(Fault(garbage=True))
        with socket.create_connection(other.address, 5) as again:
            assert ask(again, b"hello") == met


def test_refuse_resets_open_connections_and_lifts_on_the_same_port(proxy: Proxy, line: socket.socket) -> None:
    proxy.set(Fault(refuse=True))
    with pytest.raises(ConnectionResetError):
        line.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(proxy.address, 5)
    proxy.clear()
    with socket.create_connection(proxy.address, 5) as again:
        assert ask(again, b"hello") == b"hello"


def test_stop_leaves_no_thread_and_may_be_called_twice(proxy: Proxy, line: socket.socket) -> None:
    proxy.set(Fault(mute=0))
    proxy.stop()
    proxy.stop()
    assert not [t for t in threading.enumerate() if t.name == "fixture-faults"]
