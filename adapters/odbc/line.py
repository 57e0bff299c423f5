"""Which socket a driver uses: the only handle on a peer that stalls.

A driver blocks in C, and when its peer stalls in mid-query neither its time-outs nor cancel() end it: only a shutdown of its socket does.
The driver does not tell which socket that is. So, under a lock per peer, the sockets of this process before and after the connect
are compared; the new one is duplicated at once, and accepted only when the duplicate has the same inode and the peer's
address. From then on the duplicate is ours: whatever happens to the driver's descriptor, the right connection is shut. A driver whose
socket can't be found is refused.

While a connect goes on nobody can tell its socket from one that somebody else opens to the same peer (our own store may live there). So
it runs on a thread of its own, and is left to its own login time-out when the deadline passes first; what comes of it then is closed.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from adapters import tcp, watchdog
from adapters.errors import DeadlineExceeded, Misconfigured, Unavailable

Peer = tuple[str, int]
_opening: defaultdict[Peer, threading.Lock] = defaultdict(threading.Lock)


def dial(
    name: str, peer: Peer, deadline: float, connect: Callable[[], Any], told: Callable[[], None] = watchdog.nobody
) -> tuple[Any, socket.socket]:
    """What `connect` makes, and a duplicate of the socket that it uses. Raises AdapterError; `told` hears when it was left behind."""
    dialled: Future[tuple[Any, socket.socket]] = Future()
    threading.Thread(target=_run, args=(dialled, partial(_dial, name, peer, deadline, connect)), name="figway-connect", daemon=True).start()
    try:
        return dialled.result(max(deadline - time.monotonic(), 0))
    except TimeoutError:
        dialled.add_done_callback(_drop)
        told()
        raise DeadlineExceeded(f"{name} could not be connected to in time", backend=name) from None


def _run(dialled: Future[Any], work: Callable[[], Any]) -> None:
    try:
        dialled.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        dialled.set_exception(error)


def _drop(dialled: Future[tuple[Any, socket.socket]]) -> None:
    """Nobody waits for it any more."""
    if dialled.exception() is None:
        connection, line = dialled.result()
        tcp.cut(line)
        line.close()
        connection.close()


def _dial(name: str, peer: Peer, deadline: float, connect: Callable[[], Any]) -> tuple[Any, socket.socket]:
    if not (lock := _opening[peer]).acquire(timeout=max(deadline - time.monotonic(), 0)):
        raise DeadlineExceeded(f"{name} could not be connected to in time", backend=name)
    try:
        peers = _addresses(name, peer, deadline)
        before = frozenset(_sockets().values())
        connection = connect()
        lines = _new(before, peers)
    finally:
        lock.release()
    if len(lines) == 1:
        return connection, lines[0]
    for line in lines:  # one is somebody else's, and must live
        line.close()
    connection.close()
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
