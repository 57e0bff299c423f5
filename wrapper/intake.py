"""A caller's connection: bytes in until a request is whole, bytes out until the caller has taken them; no thread waits for either.

1. gunicorn's parser is the judge of a request, and `strict_http.py` of what it lets pass. Here it is found where a head ends and counted
   whether a body is there; then the parser gets those bytes and no socket, so it can't wait, and what it leaves over begins the next
   request. What looks wrong is given to it at once, to be refused in its way.
2. A caller has so many seconds for a head, and for a body or an answer so many more plus one for each RATE bytes that moved.
3. What is held of a caller is bounded: a head by MAX_HEAD, a body by MAX_BODY, an answer that is still being made by MAX_UNSENT.

Reads and writes what the socket takes without waiting; when to do so, and how many connections there are, is the worker's business.
"""

from __future__ import annotations

import fcntl
import re
import socket
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from io import BytesIO
from typing import Any, Literal

from gunicorn.http.body import LengthReader
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser

from wrapper.http import MAX_BODY
from wrapper.strict_http import doubt
from wrapper.tls import Wire

MAX_HEAD = 32 * 1024
MAX_CHUNK_LINE = 1024
MAX_FRAMES = MAX_BODY // 4  # what is around a body's chunks
MAX_UNSENT = 16 * 1024 * 1024
RATE = 64 * 1024
CHUNK = 64 * 1024
PIECE = 4 * 1024  # for the parser: with each chunk of a body it copies all the rest that it has been given

State = Literal["idle", "head", "body", "served", "taking", "closing"]
_END = re.compile(rb"\r\n\r\n|(?<!\r)\n")  # a bare LF ends it too: gunicorn refuses such a head


class Refused(Exception):
    """A request that is not read to its end."""

    def __init__(self, status: HTTPStatus, said: str = "") -> None:
        super().__init__(status.phrase)
        self.status, self.said = status, said


class Outgoing:
    """The face of a connection that gunicorn writes an answer to: collected, then sent as far as the caller takes it."""

    def __init__(self, wire: socket.socket | Wire, admin: bool) -> None:
        self.admin, self.cut, self.sent = admin, False, 0
        self.wire = wire
        self._parts: list[bytes | memoryview] = []
        self._size = 0

    def sendall(self, data: bytes) -> None:
        """Raises OSError when the caller has gone, or takes a long answer far too slowly."""
        if self._size > CHUNK:
            self.flush()
        if self.cut or self._size > MAX_UNSENT:
            self.cut = True
            raise ConnectionResetError
        self._parts.append(data)
        self._size += len(data)

    def flush(self) -> bool:
        """Whether all of it is with the kernel, or in vain; never waits."""
        while self._parts and not self.cut:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            try:
                sent = self.wire.send(data)
            except BlockingIOError:
                self._parts = [data]
                return False
            except OSError:
                self.cut = True
                return True
            self.sent += sent
            self._size -= sent
            self._parts = [memoryview(data)[sent:]] if sent < len(data) else []
        return True

    def taken(self) -> int:
        """Bytes of it that have reached the caller's machine."""
        waiting = fcntl.ioctl(self.wire, termios.TIOCOUTQ, bytes(4))
        return self.sent - int.from_bytes(waiting, sys.byteorder)

    def shutdown(self, how: int) -> None:
        """gunicorn ends a connection whose answer failed half-way: what was promised can't be sent, so it is cut."""
        self.cut = True
        raise ConnectionResetError

    def close(self) -> None:
        """The worker closes it."""


class Line:
    """One caller's connection. `sock`, `client` and `server` are named as gunicorn reads them."""

    def __init__(self, cfg: Any, wire: socket.socket | Wire, client: Any, server: Any, admin: bool, deadline: float) -> None:
        self.wire, self.client, self.server = wire, client, server
        self.sock = Outgoing(wire, admin)
        self.parser = RequestParser(cfg, (), client)
        self.request: Any = None
        self.state: State = "idle"
        self.deadline, self.began = deadline, 0.0
        self.kept = False
        self.answers = 0
        self.watched = 0
        self.awaits = ""
        self._held = bytearray()
        self._scanned = 0
        self._whole: Callable[[bytearray], bool] = lambda _held: True

    @property
    def held(self) -> int:
        """Bytes of a request that is not whole."""
        return len(self._held)

    def forget(self) -> None:
        """Its request is not wanted."""
        self._held.clear()

    def take(self, data: bytes) -> bool:
        """Whether a request is whole, and then in `request`. Raises Refused, or what gunicorn's parser raises."""
        self._held += data
        if self.request is None:
            if not self._head_is_here():
                return False
            self._parse()
        if not self._whole(self._held):
            return False
        whole, at = bytes(self._held), range(0, len(self._held), PIECE)
        self.parser.unreader.iter = iter([whole[n : n + PIECE] for n in at])
        self._held.clear()
        return True

    def _head_is_here(self) -> bool:
        found = _END.search(self._held, max(0, self._scanned - 3))
        self._scanned = len(self._held)
        if (found.end() if found else self._scanned) <= MAX_HEAD:
            return found is not None
        if b"\r\n" in self._held[:MAX_HEAD]:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return True  # gunicorn refuses a request line without an end

    def _parse(self) -> None:
        unreader = self.parser.unreader
        unreader.unread(bytes(self._held))
        self._held.clear()
        self._scanned = 0
        try:
            self.request = next(self.parser)
        except (NoMoreData, StopIteration):
            raise Refused(HTTPStatus.BAD_REQUEST) from None
        if said := doubt(self.request):
            raise Refused(HTTPStatus.BAD_REQUEST, said)
        self._held += unreader.take_buffered()
        reader = self.request.body.reader
        self._whole = _Sized(reader.length).whole if isinstance(reader, LengthReader) else _Chunked().whole
        if self.request._expected_100_continue:
            self.request._expected_100_continue = False  # or gunicorn says it again
            self._continue()

    def _continue(self) -> None:
        """The caller waits for this word before it sends the body."""
        if not self._whole(self._held):
            with suppress(OSError):
                self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.sock.flush()

    def read_body(self) -> None:
        """The body as a file in memory, decoded. Raises what gunicorn's parser raises."""
        self.request.body = BytesIO(self.request.body.read())

    def next_request(self) -> bytes:
        """What was read beyond the request that has been answered."""
        self.request = None
        self.answers += 1
        self.sock.sent = 0
        unreader = self.parser.unreader
        left_over: bytes = unreader.take_buffered()
        return left_over + b"".join(unreader.iter or ())


class _Sized:
    """A body of known length."""

    def __init__(self, length: int) -> None:
        if length > MAX_BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._length = length

    def whole(self, held: bytearray) -> bool:
        return len(held) >= self._length


class _Chunked:
    """Where a chunked body ends (RFC 9112, 7.1). What is not well-formed ends it, too: gunicorn refuses it."""

    def __init__(self) -> None:
        self._at = self._size = 0
        self._trailers = False

    def whole(self, held: bytearray) -> bool:
        while not self._trailers:
            end = held.find(b"\r\n", self._at)
            if end < 0:
                return len(held) - self._at > MAX_CHUNK_LINE
            size = held[self._at : end].partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
                return True
            self._trailers = int(size, 16) == 0
            self._size += int(size, 16)
            self._at = end + 2 if self._trailers else end + 2 + int(size, 16) + 2
            if self._size > MAX_BODY or self._at - self._size > MAX_FRAMES:
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return held.startswith(b"\r\n", self._at) or held.find(b"\r\n\r\n", self._at) >= 0 or len(held) - self._at > MAX_HEAD
