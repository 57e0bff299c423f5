"""One HTTP/1.1 answer, read from a connection and nothing beyond it. Strict, because a client that guesses takes one answer for another.

Sans-IO but for `read_into`; knows no time-outs: whoever owns the socket bounds it. The rules (RFC 9112 where it leaves a choice):
1. Head lines end in CR LF, none is folded, and each is `name: value` of legal characters; the head has at most HEAD bytes.
2. The length is said once: chunked alone, or Content-Length alone and in digits; else the body ends with the connection.
3. An end of the stream anywhere else is Ended; everything else that is not HTTP is NotHttp.
4. Interim answers (1xx) are passed over, but nobody asked for a change of protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

HEAD = 65536  # bytes of a head, and of a chunked body's trailers
_PIECE = 32768  # more than a TLS record: what is read leaves nothing decrypted behind
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n\0]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n\0]*)?")


class NotHttp(ValueError):
    """What came is not an HTTP answer."""


class Ended(OSError):
    """The peer closed before the answer was complete."""


class TooLong(ValueError):
    """The body is longer than the caller takes."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer's parts. Header names are in lower case. `reusable`: the connection is where the next answer would begin."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    reusable: bool


def receive(read_into: Callable[[memoryview], int], most: int) -> Response:
    """The next final answer with at most `most` bytes of body. `read_into` is a socket's recv_into.

    Raises NotHttp, Ended, TooLong and what `read_into` raises."""
    source = _Source(read_into)
    while True:
        minor, status, headers = _head(source)
        if status >= 200:
            break
        if status == 101:
            raise NotHttp("a change of protocol")
    if status in (204, 304):
        body: bytes | None = b""
    else:
        body = _body(source, headers, most)
    closing = headers.get("connection", "keep-alive" if minor else "close").lower() != "keep-alive"
    reusable = body is not None and not closing and not source.kept
    return Response(status, headers, source.rest(most) if body is None else body, reusable)


def _head(source: _Source) -> tuple[int, int, dict[str, str]]:
    lines = source.until(b"\r\n\r\n", begins=b"HTTP/1.").split(b"\r\n")
    status = _STATUS.fullmatch(lines[0])
    if status is None:
        raise NotHttp("no status line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        met = _FIELD.fullmatch(line)
        if met is None:
            raise NotHttp("a line of the head is not a header")
        name, value = met[1].decode("ascii").lower(), met[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return int(status[1]), int(status[2]), headers


def _body(source: _Source, headers: Mapping[str, str], most: int) -> bytes | None:
    """None: it ends with the connection."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise NotHttp("a transfer coding that is not chunked alone")
        return _chunks(source, most)
    if length is None:
        return None
    if not (length.isascii() and length.isdigit() and len(length) < 16):  # also two that differ, or are merely two
        raise NotHttp("a length that is no number")
    if int(length) > most:
        raise TooLong
    return source.take(int(length))


def _chunks(source: _Source, most: int) -> bytes:
    body = bytearray()
    while True:
        met = _CHUNK.fullmatch(source.until(b"\r\n"))
        if met is None:
            raise NotHttp("a chunk without a size")
        size = int(met[1], 16)
        if len(body) + size > most:
            raise TooLong
        if not size:
            break
        body += source.take(size)
        if source.take(2) != b"\r\n":
            raise NotHttp("a chunk that is longer than its size")
    trailers = 0
    while line := source.until(b"\r\n"):
        trailers += len(line)
        if trailers > HEAD:
            raise NotHttp("trailers without end")
    return bytes(body)


class _Source:
    """What has come and is not yet used."""

    def __init__(self, read_into: Callable[[memoryview], int]) -> None:
        self._read_into = read_into
        self._piece = memoryview(bytearray(_PIECE))  # recv(n) allocates n, keeps the head and leaves a hole
        self.kept = bytearray()

    def _more(self) -> bool:
        size = self._read_into(self._piece)
        self.kept += self._piece[:size]
        return size > 0

    def _need(self) -> None:
        if not self._more():
            raise Ended

    def until(self, mark: bytes, *, begins: bytes = b"") -> bytes:
        """What comes before `mark`, which is used up too. NotHttp as soon as it can't begin with `begins`, or has more than HEAD bytes."""
        searched = 0
        while True:
            if not begins.startswith(self.kept[: len(begins)]):
                raise NotHttp("not the beginning of an answer")
            at = self.kept.find(mark, searched)
            if at >= 0 and at <= HEAD:
                found = bytes(self.kept[:at])
                del self.kept[: at + len(mark)]
                return found
            if len(self.kept) > HEAD:
                raise NotHttp("a head, or a line, without end")
            searched = max(len(self.kept) - len(mark) + 1, 0)
            self._need()

    def take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self.kept) < size:
            self._need()
        found = bytes(self.kept[:size])
        del self.kept[:size]
        return found

    def rest(self, most: int) -> bytes:
        """Everything until the peer closes."""
        while len(self.kept) <= most:
            if not self._more():
                return bytes(self.kept)
        raise TooLong
