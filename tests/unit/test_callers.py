"""The callers of a worker over real connections, one turn of its loop at a time: who goes when there are too many, or too much is held."""

from __future__ import annotations

import select
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from gunicorn.config import Config

from wrapper.callers import MAX_HELD, Callers
from wrapper.intake import MAX_FRAMES, Line

MOST = 20
GET = b"GET / HTTP/1.1\r\nHost: figway\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: figway\r\nContent-Length: 1000000\r\n\r\n"


class Loop:
    """A worker's main thread; whatever is asked is answered with the length of its body."""

    def __init__(self, held: ExitStack, most: int) -> None:
        self._held = held
        self._poller = held.enter_context(selectors.DefaultSelector())
        held.callback(self.turn)  # when all callers have gone
        self._listener = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._callers = Callers(Config(), self._poller, self, 10, most)

    def serve(self, line: Line) -> bool:
        line.read_body()
        line.sock.sendall(b"%d\n" % len(line.request.body.read()))
        self._callers.served(line, kept=True)
        return True

    def explain(self, line: Line, error: Exception) -> None:
        line.sock.sendall(b"%d\n" % error.status)  # type: ignore[attr-defined]

    def caller(self) -> socket.socket:
        made = self._held.enter_context(socket.create_connection(self._listener.getsockname(), timeout=5))
        assert self._callers.accept(self._listener, False)
        return made

    def turn(self) -> None:
        while ready := self._poller.select(0):
            for key, _ in ready:
                key.data(key.fileobj)

    def send(self, caller: socket.socket, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[caller.send(rest[: 32 * 1024]) :]
            self.turn()

    def ask(self, caller: socket.socket, data: bytes) -> bytes:
        self.send(caller, data)
        return caller.recv(100)


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_who_comes_when_all_places_are_kept_open_is_answered(held: ExitStack) -> None:
    loop = Loop(held, MOST)
    kept = [loop.caller() for _ in range(MOST)]
    assert {loop.ask(caller, GET) for caller in kept} == {b"0\n"}
    assert loop.ask(loop.caller(), GET) == b"0\n"


def test_who_holds_most_goes_when_too_much_is_held(held: ExitStack) -> None:
    loop = Loop(held, 500)
    greedy = [loop.caller() for _ in range(MAX_HELD // 900_000 + 1)]
    for caller in greedy:
        loop.send(caller, POST + b"x" * 900_000)
    honest = loop.caller()
    loop.send(honest, b"POST / HTTP/1.1\r\nHost: figway\r\nContent-Length: 2\r\n\r\n")
    assert loop.ask(honest, b"{}") == b"2\n"
    answered, _, _ = select.select(greedy, [], [], 0)
    assert [caller.recv(100) for caller in answered] == [b"503\n"]


def test_a_body_in_the_smallest_chunks_costs_no_more_than_its_length(held: ExitStack) -> None:
    loop = Loop(held, MOST)
    head, chunk, last = b"POST / HTTP/1.1\r\nHost: figway\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", b"0\r\n\r\n"
    most = MAX_FRAMES // 5 - 1
    began = time.process_time()
    assert loop.ask(loop.caller(), head + chunk * most + last) == b"%d\n" % most
    assert time.process_time() - began < 5  # 0.3; 40 when each chunk costs a copy of all that follows
    assert loop.ask(loop.caller(), head + chunk * (most + 2)) == b"413\n"
