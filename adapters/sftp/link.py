"""One SSH connection to a system, and a bounded pool of SFTP channels over it.

Rules, each from a hang that was seen:
1. The socket is ours: TCP_NODELAY, the connect within the deadline, the server's key pinned, no agent, no key files.
2. A channel belongs to one thread for the length of a lease; sshd allows 10 channels a connection, we open at most 8.
3. After any time-out the connection is retired: whoever is in the middle of something may finish, nobody new gets on, and the last
   one off closes it.
4. What trickles past the time-outs of steps (door.py) is ended by the watchdog, which shuts the socket.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import paramiko
from paramiko.hostkeys import HostKeyEntry

from adapters import tcp
from adapters.base import Events
from adapters.errors import AdapterError, BadLogon, DeadlineExceeded, Misconfigured, Unavailable
from adapters.events import SILENT
from adapters.pool import Pool
from adapters.sftp.door import Door, left, mapped
from adapters.watchdog import limit

CHANNELS = 8
LAST_RESORT = 0.3  # seconds past a deadline until the watchdog acts; each step has its own time-out before
_LOG = "figway.sftp.paramiko"


@dataclass(frozen=True, slots=True)
class Access:
    """Where a system is and how we prove who we and it are."""

    name: str
    host: str
    port: int
    user: str
    key: paramiko.PKey
    host_key: paramiko.PKey
    events: Events = SILENT

    def fired(self) -> None:
        """The watchdog has ended something here."""
        self.events.happened("watchdog_fired", self.name)


@dataclass(slots=True, eq=False)
class _Line:
    """One connection. `channels` counts those that are open; a `retired` one takes no new ones."""

    client: paramiko.SSHClient
    transport: paramiko.Transport
    sock: socket.socket
    channels: int = 0
    retired: bool = False

    def shut(self) -> None:
        """Does not block: what waits on the connection fails now."""
        tcp.cut(self.sock)

    def close(self) -> None:
        """Ends the connection and its thread."""
        _abandon(self.client, self.sock)


@dataclass(slots=True, eq=False)
class _Seat:
    """A door and the connection that it is on."""

    door: Door
    line: _Line

    def usable(self) -> bool:
        return not (self.line.retired or self.door.channel.closed) and self.line.transport.is_active()


class Link:
    """Connects on first use and again when it must."""

    def __init__(self, access: Access, channels: int = CHANNELS) -> None:
        self._access = access
        self._line: _Line | None = None
        self._closed = False
        self._state = threading.Lock()
        self._connecting = threading.Lock()
        self._pool = Pool(access.name, self._open, self._end, size=channels, fit=lambda seat, _idle: seat.usable(), events=access.events)
        logger = logging.getLogger(_LOG)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())

    @contextmanager
    def lease(self, deadline: float, *, background: bool = False) -> Iterator[Door]:
        """A channel of one's own until `deadline`; see Pool.lease."""
        try:
            left(deadline)
            with (
                self._pool.lease(deadline, background=background) as seat,
                limit(deadline + LAST_RESORT, seat.line.shut, told=self._access.fired),
            ):
                seat.door.deadline = deadline
                try:
                    yield seat.door
                except DeadlineExceeded:
                    self._retire(seat.line)
                    raise
        except AdapterError as error:
            error.backend = error.backend or self._access.name
            raise

    def close(self) -> None:
        """Channels in use are ended as they come back; the connection goes at once."""
        self._pool.close()
        with self._state:
            line, self._line, self._closed = self._line, None, True
        if line is not None:
            line.close()

    def _open(self, deadline: float) -> _Seat:
        line = self._board(deadline)
        try:
            with limit(deadline + LAST_RESORT, line.shut, told=self._access.fired), mapped(deadline):
                channel = line.transport.open_session(timeout=left(deadline))
                channel.settimeout(left(deadline))
                channel.invoke_subsystem("sftp")
                return _Seat(Door(paramiko.SFTPClient(channel), channel, deadline), line)
        except BaseException as error:
            if isinstance(error, DeadlineExceeded):
                self._retire(line)
            self._leave(line)
            raise

    def _end(self, seat: _Seat) -> None:
        with suppress(Exception):
            if seat.usable():
                seat.door.channel.close()
        self._leave(seat.line)

    def _board(self, deadline: float) -> _Line:
        """The connection, with one more channel counted; made by the first who needs it while the others wait."""
        if not self._connecting.acquire(timeout=left(deadline)):
            raise DeadlineExceeded("another thread is still connecting")
        try:
            with self._state:
                line = self._line
            if line is None or line.retired or not line.transport.is_active():
                fresh = _connect(self._access, deadline)
                with self._state:
                    self._line, line = fresh, fresh
            with self._state:
                line.channels += 1
            return line
        finally:
            self._connecting.release()

    def _leave(self, line: _Line) -> None:
        with self._state:
            line.channels -= 1
            over = line.channels == 0 and (self._closed or line.retired or line is not self._line or not line.transport.is_active())
            if over and self._line is line:
                self._line = None
        if over:
            line.close()

    def _retire(self, line: _Line) -> None:
        with self._state:
            line.retired = True


def _connect(access: Access, deadline: float) -> _Line:
    """Connected and logged on, or an AdapterError and nothing left behind."""
    with mapped(deadline):
        sock = tcp.connect(access.host, access.port, deadline)
        client = paramiko.SSHClient()
        try:
            with limit(deadline, partial(tcp.cut, sock), told=access.fired):
                transport = _log_on(access, client, sock, left(deadline))
            return _Line(client, transport, sock)
        except BaseException:
            _abandon(client, sock)
            raise


def _log_on(access: Access, client: paramiko.SSHClient, sock: socket.socket, seconds: float) -> paramiko.Transport:
    client.set_log_channel(_LOG)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    name = access.host if access.port == 22 else f"[{access.host}]:{access.port}"
    client.get_host_keys().add(name, access.host_key.get_name(), access.host_key)
    try:
        client.connect(access.host, access.port, access.user, pkey=access.key, sock=sock, timeout=seconds, banner_timeout=seconds,
                       auth_timeout=seconds, channel_timeout=seconds, look_for_keys=False, allow_agent=False)  # fmt: skip
    except paramiko.BadHostKeyException:
        raise Misconfigured("the server's host key is not the pinned one") from None
    except paramiko.AuthenticationException:
        if _alive(client) is not None:  # paramiko calls a connection that was lost meanwhile an authentication failure, too
            raise BadLogon("the server refused our user or key") from None
        raise
    transport = _alive(client)
    if transport is None:
        raise Unavailable("the server ended the connection")
    return transport


def _alive(client: paramiko.SSHClient) -> paramiko.Transport | None:
    transport = client.get_transport()
    return transport if transport is not None and transport.is_active() else None


def _abandon(client: paramiko.SSHClient, sock: socket.socket) -> None:
    tcp.cut(sock)
    transport = client.get_transport()
    if transport is not None:
        if transport.is_alive():
            transport.join(2)
        transport.packetizer.complete_handshake()  # ends the timer of one that failed: a thread for 15 seconds
    client.close()
    sock.close()


def read_key(pem: str) -> paramiko.PKey:
    """A private key without passphrase from its PEM text. Raises Misconfigured."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(pem))
    raise Misconfigured("the private key can't be read: expected an Ed25519, ECDSA or RSA key as PEM, without passphrase")


def read_host_key(line: str) -> paramiko.PKey:
    """`ssh-ed25519 AAAA...` as a key. Raises Misconfigured."""
    with suppress(paramiko.SSHException, ValueError):
        entry = HostKeyEntry.from_line(f"host {line.strip()}")
        if entry is not None and entry.key is not None:
            return entry.key
    raise Misconfigured("the host key can't be read: expected its type and base64 text, as in known_hosts")
