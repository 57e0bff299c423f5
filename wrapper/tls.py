"""TLS 1.3 with callers: one connection under it has the face of a plain one, and waits as little.

OpenSSL sees no socket here, only bytes that have come and room for bytes that are to go: so what one turn of the main thread does for one
caller is bounded, whatever the caller sends. Handshakes are what costs; a turn makes SHAKES of them, the others' turns come.

Certificates are read anew when one of their files is another one than before, for connections from then on; a pair that does not fit (half
of it is there yet) changes nothing. Sessions are never resumed: each connection shows its certificate, and is held against today's CA.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path

from wrapper import log
from wrapper.settings import BadSettings, Settings

SHAKES = 8  # steps of handshakes in a turn of a worker's loop: some milliseconds
CAME = 32 * 1024  # bytes taken from the kernel at once; what was left of a record and they are less than intake.CHUNK
RECORD = 16 * 1024  # of an answer, sealed at once
OWED = 64 * 1024  # most that may wait to go to a caller who only sends


def context(given: Settings) -> ssl.SSLContext | None:
    """By the files of this moment; None without TLS. Raises BadSettings."""
    if given.tls_cert is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.num_tickets = 0
    try:
        made.load_cert_chain(given.tls_cert, given.tls_key, password="")  # or OpenSSL asks at the terminal
    except (OSError, ValueError) as error:
        raise BadSettings(
            f"tls_cert {given.tls_cert}, tls_key {given.tls_key}: {_why(error)}; "
            "they must be a PEM certificate with its chain, and its own PEM private key without a passphrase"
        ) from None
    if given.tls_client_ca is not None:
        made.verify_mode = ssl.CERT_REQUIRED if given.tls_client == "required" else ssl.CERT_OPTIONAL
        try:
            made.load_verify_locations(given.tls_client_ca)
        except (OSError, ValueError) as error:
            raise BadSettings(f"tls_client_ca {given.tls_client_ca}: {_why(error)}; it must be PEM certificates") from None
    return made


def _why(error: Exception) -> str:
    """In OpenSSL's words for it, like KEY_VALUES_MISMATCH, or the system's."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "can't be read"
    return str(reason).replace("_", " ").lower()


class Certificates:
    """What this worker shows to callers; of its main thread alone."""

    def __init__(self, given: Settings) -> None:
        self._given = given
        self._files = [file for file in (given.tls_cert, given.tls_key, given.tls_client_ca) if file is not None]
        self._seen = _looks(self._files)
        self._context = context(given)
        self.left = SHAKES

    def cover(self, wire: socket.socket) -> Wire:
        """A connection that has just been accepted."""
        looks = _looks(self._files)
        if looks != self._seen:
            self._seen = looks
            try:
                self._context = context(self._given)
                log.get().info("tls", outcome="read anew")
            except BadSettings as error:
                log.get().error("tls", outcome="refused", fault=str(error))
        assert self._context is not None
        return Wire(wire, self._context, self)


def _looks(files: list[Path]) -> list[tuple[int, int, int]]:
    """What changes when they do; of one that is away, nothing."""
    found = []
    for file in files:
        with suppress(OSError):
            seen = file.stat()
            found.append((seen.st_mtime_ns, seen.st_size, seen.st_ino))
    return found


class Wire:
    """One caller's connection. `peer` is the caller's verified certificate, once it has shown one."""

    def __init__(self, wire: socket.socket, by: ssl.SSLContext, shared: Certificates) -> None:
        self._wire, self._shared = wire, shared
        self._came, self._to_go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = by.wrap_bio(self._came, self._to_go, server_side=True)
        self._going = b""
        self._sealed = 0  # bytes of an answer that are in _going
        self._shaken = self._over = self._ended = False
        self.peer: bytes | None = None
        self.fileno, self.setsockopt, self.close = wire.fileno, wire.setsockopt, wire.close

    def recv_into(self, piece: memoryview) -> int:
        """As a socket's: raises BlockingIOError when there is nothing yet, ssl.SSLError when this is not TLS, or not the TLS we want."""
        if self._ended:
            return self._wire.recv_into(piece)
        if not (self._shaken or self._shared.left):
            raise BlockingIOError  # it stays readable
        came = b"" if self._over else self._wire.recv(CAME)
        if not came:
            return 0
        self._shared.left -= not self._shaken
        self._came.write(came)
        try:
            return self._read(piece)
        finally:
            with suppress(BlockingIOError):
                self._send()
            if len(self._going) > OWED:
                raise ConnectionResetError

    def _read(self, piece: memoryview) -> int:
        """All that has come: the poller knows nothing of what stays here."""
        size = 0
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken, self.peer = True, self._tls.getpeercert(binary_form=True)
            while more := self._tls.read(len(piece) - size, piece[size:]):
                size += more  # type: ignore[operator]  # with a buffer it is a number
            self._over = True
        except ssl.SSLWantReadError:
            if not size:
                raise BlockingIOError from None
        return size

    def send(self, data: bytes | memoryview) -> int:
        """As a socket's; after a BlockingIOError the same bytes are to come again."""
        if data and not self._sealed:
            self._sealed = self._tls.write(memoryview(data)[:RECORD])
        self._send()
        sent, self._sealed = self._sealed, 0
        return sent

    def _send(self) -> None:
        self._going += self._to_go.read()
        while self._going:
            self._going = self._going[self._wire.send(self._going) :]

    def shutdown(self, how: int) -> None:
        """Our end, under TLS and below it; what still comes then is not even looked at."""
        self._ended = True
        with suppress(ssl.SSLError):  # it says that the other end is not there yet, or that there never was TLS
            self._tls.unwrap()
        with suppress(BlockingIOError):
            self._send()
        self._wire.shutdown(how)
