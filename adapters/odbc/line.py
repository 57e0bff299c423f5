"""Which socket a driver uses: the only handle on a peer that stalls.

A driver blocks in C, and when its peer stalls in mid-query neither its time-outs nor cancel() end it: only a shutdown of its socket does.
The driver does not tell which socket that is. So, under a lock per peer, the sockets of this process before and after the connect
are compared; the new one is duplicated at once, and accepted only when the duplicate has the same inode and the peer's
address. From then on the duplicate is ours: whatever happens to the driver's descriptor, the right connection is shut. The same
search ends a connect that hangs. A driver whose socket can't be found is refused.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from adapters import tcp, watchdog
from adapters.errors import AdapterError, DeadlineExceeded, Misconfigured, Unavailable

Peer = tuple[str, int]
_opening: defaultdict[Peer, threading.Lock] = defaultdict(threading.Lock)


def dial(name: str, peer: Peer, deadline: float, connect: Callable[[], Any]) -> tuple[Any, socket.socket]:
    """What `connect` makes, and a duplicate of the socket that it uses. Raises AdapterError."""
    late = DeadlineExceeded(f"{name} could not be connected to in time", backend=name)
    lock = _opening[peer]
    if not lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
        raise late
    try:
        peers = _addresses(name, peer, deadline)
        before = frozenset(_sockets().values())
        with watchdog.limit(deadline, lambda: _shut(_new(before, peers)), insist=True):  # the driver may be between two sockets just then
            connection = connect()
        lines = _new(before, peers)
    except AdapterError:
        if time.monotonic() >= deadline:
            raise late from None
        raise
    finally:
        lock.release()
    if len(lines) == 1 and time.monotonic() < deadline:
        return connection, lines[0]
    if len(lines) == 1:
        _shut(lines)
    for line in lines:  # of several one is somebody else's, and must live
        line.close()
    connection.close()
    if time.monotonic() >= deadline:
        raise late
    if lines:
        raise Unavailable(f"{name}: its connection could not be told from another one", backend=name)
    raise Misconfigured(f"{name}: the driver's connection to Server and Port was not found, so it can't be bounded", backend=name)


def _addresses(name: str, peer: Peer, deadline: float) -> frozenset[tuple[Any, ...]]:
    try:
        return frozenset(address[:2] for _, address in tcp.addresses(*peer, deadline))
    except TimeoutError:
        raise DeadlineExceeded(f"{name}: its host name could not be looked up in time", backend=name) from None
    except socket.gaierror:
        raise Unavailable(f"{name}: its host name is not known", backend=name) from None


def _sockets() -> dict[int, int]:
    """This process' sockets: descriptor -> inode."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # closed while we looked
            name = os.readlink(f"/proc/self/fd/{fd}")
            if name.startswith("socket:["):
                found[int(fd)] = int(name[8:-1])
    return found


def _new(before: frozenset[int], peers: frozenset[tuple[Any, ...]]) -> list[socket.socket]:
    """Duplicates of the sockets that were not there before and are connected to one of `peers`."""
    lines = []
    for fd, inode in _sockets().items():
        if inode in before:
            continue
        line = _copy(fd)
        if line is not None and _matches(line, inode, peers):
            lines.append(line)
        elif line is not None:
            line.close()
    return lines


def _copy(fd: int) -> socket.socket | None:
    """A duplicate; None when the descriptor has been closed or has become something else meanwhile."""
    try:
        copy = os.dup(fd)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def _matches(line: socket.socket, inode: int, peers: frozenset[tuple[Any, ...]]) -> bool:
    try:
        return os.fstat(line.fileno()).st_ino == inode and line.getpeername()[:2] in peers
    except OSError:  # not connected
        return False


def _shut(lines: list[socket.socket]) -> None:
    for line in lines:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        line.close()
