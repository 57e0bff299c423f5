"""All callers of one worker, seen by its main thread: accepted, read, refused, given their answers, cut when they take too long.

A connection's own bytes and bounds are in `wrapper/intake.py`; who serves a request that is whole is the worker's business. Nothing here
waits, but for all callers together.
"""

from __future__ import annotations

import errno
import math
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from wrapper import log
from wrapper.intake import CHUNK, RATE, Line, Refused, State
from wrapper.tls import Certificates

LINGER = 2.0  # seconds for a caller to read an answer that came before the whole request, and for a kept connection of a worker that ends
MAX_HELD = 64 * 1024 * 1024  # of all requests that are not whole
CROWD = 16  # callers that go at once when there is no room
_RESET = struct.pack("ii", 1, 0)


class Server(Protocol):
    """What the worker does for a caller, at once."""

    def serve(self, line: Line) -> bool:
        """Have its request served, then call Callers.served in the main thread; False: no room, it is to be turned away."""

    def explain(self, line: Line, error: Exception) -> None:
        """Write what is wrong to line.sock."""


class Callers:
    """`patience`: see Settings. `kept`: seconds that a connection without a request stays open. `covers`: with TLS, if there is any."""

    def __init__(
        self, cfg: Any, poller: selectors.BaseSelector, server: Server, patience: float, most: int, covers: Certificates | None = None
    ) -> None:
        self._cfg, self._poller, self._server = cfg, poller, server
        self._patience, self._most, self._kept = patience, most, float(cfg.keepalive)
        self._lines: set[Line] = set()
        self._piece = memoryview(bytearray(CHUNK))  # recv(n) allocates n, keeps the head and leaves a hole
        self._held = 0
        self._covers = covers

    def accept(self, listener: Any, admin: bool, plain: bool = True) -> bool:
        """Whether there was a next caller. Raises OSError when there is, and no descriptor for it."""
        try:
            wire, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._make_room()
                raise
            return False
        wire.setblocking(False)
        if len(self._lines) >= self._most:  # before it counts: it would be the first to go
            self._make_room()
        covered = wire if plain or self._covers is None else self._covers.cover(wire)
        line = Line(self._cfg, covered, client, wire.getsockname(), admin, time.monotonic() + self._patience / 2)
        self._lines.add(line)
        self._read(line)
        return True

    def stop(self) -> None:
        """No request is awaited any longer than LINGER on a connection that has none."""
        self._kept = LINGER
        for line in self._lines:
            if line.state == "idle":
                line.deadline = min(line.deadline, time.monotonic() + LINGER)

    def any(self, *states: State) -> bool:
        """Whether there is a caller in any of these states."""
        return any(line.state in states for line in self._lines)

    def expire(self) -> None:
        """Cut who has run out of time."""
        now = time.monotonic()
        for line in [line for line in self._lines if line.deadline < now]:
            self._cut(line, HTTPStatus.REQUEST_TIMEOUT)

    def served(self, line: Line, kept: bool) -> None:
        """Its answer is made; `kept`: it may ask again on this connection."""
        line.kept, line.began, line.state = kept, time.monotonic(), "taking"
        self._give(line)

    def _make_room(self) -> None:
        """Some callers go: those first who never got as far as an answer, and of these those who take longest."""
        waiting = [line for line in self._lines if line.state != "served"]
        for line in sorted(waiting, key=lambda line: (line.answers > 0, line.deadline))[:CROWD]:
            self._cut(line, HTTPStatus.SERVICE_UNAVAILABLE)

    def _ready(self, line: Line, _wire: object) -> None:
        match line.state:
            case "served":
                self._watch(line, 0)  # it is read when it has been answered
            case "taking":
                self._give(line)
            case "closing":
                self._discard(line)
            case _:
                self._read(line)

    def _read(self, line: Line) -> None:
        try:
            size = line.wire.recv_into(self._piece)
        except BlockingIOError:
            self._watch(line, selectors.EVENT_READ)
        except ssl.SSLError as error:
            log.get().warning("tls", outcome="no connection", reason=error.reason)
            self._end(line)  # and it can read why
        except OSError:
            self._close(line)
        else:
            self._take(line, bytes(self._piece[:size])) if size else self._close(line)

    def _take(self, line: Line, data: bytes) -> None:
        before = line.held
        wrong: Exception | None = None
        whole = False
        try:
            whole = line.take(data)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the caller is told and we go on
            wrong = error
        self._held += line.held - before
        if wrong is None and not whole:
            self._await(line)
            if self._held > MAX_HELD:
                self._cut(max(self._lines, key=lambda line: line.held), HTTPStatus.SERVICE_UNAVAILABLE)
            return
        line.state, line.deadline = "served", math.inf
        if wrong is not None or not self._server.serve(line):
            self._refuse(line, wrong or Refused(HTTPStatus.SERVICE_UNAVAILABLE))

    def _await(self, line: Line) -> None:
        """The rest of a request; the time for it runs from its first byte."""
        state: State = "body" if line.request is not None else "head" if line.held else "idle"
        if state != line.state:
            line.state, line.began = state, time.monotonic()
            line.deadline = line.began + (self._kept if state == "idle" else self._patience / 2)
        if state == "body":
            line.deadline = line.began + self._patience + line.held / RATE
        self._watch(line, selectors.EVENT_READ)

    def _give(self, line: Line) -> None:
        """As much of its answer as the caller takes now; then its next request, or the end."""
        if not line.sock.flush():
            line.deadline = line.began + self._patience + line.sock.taken() / RATE
            self._watch(line, selectors.EVENT_WRITE)
        elif line.sock.cut:
            self._close(line)
        elif line.kept:
            self._take(line, line.next_request())
        else:
            self._end(line)

    def _refuse(self, line: Line, error: Exception) -> None:
        self._held -= line.held
        line.forget()
        self._server.explain(line, error)
        self.served(line, kept=False)

    def _cut(self, line: Line, status: HTTPStatus) -> None:
        if line.state in ("head", "body"):
            self._refuse(line, Refused(status))
            return
        if line.state == "taking":
            log.get().warning("cut", reason="the caller does not take its answer")
            line.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)  # what the kernel still has for it goes, too
        self._close(line)

    def _end(self, line: Line) -> None:
        """What the caller goes on sending is read until it has seen our end: the kernel would take the answer back otherwise."""
        try:
            line.wire.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(line)
            return
        line.state, line.deadline = "closing", time.monotonic() + LINGER
        self._watch(line, selectors.EVENT_READ)

    def _discard(self, line: Line) -> None:
        try:
            gone = not line.wire.recv_into(self._piece)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._close(line)

    def _watch(self, line: Line, events: int) -> None:
        """Left as it is while a request is served: a caller that waits for its answer sends nothing, and that costs nothing."""
        if events == line.watched:
            return
        if not events:
            self._poller.unregister(line.wire)
        else:
            change: Callable[..., Any] = self._poller.modify if line.watched else self._poller.register
            change(line.wire, events, partial(self._ready, line))
        line.watched = events

    def _close(self, line: Line) -> None:
        self._watch(line, 0)
        self._lines.discard(line)
        self._held -= line.held
        line.wire.close()
