"""TCP: a connection within a deadline, whether it is quiet, and its end from outside. The deadline bounds the look-up of the host's name
too: getaddrinfo takes no time-out and may wait for minutes."""

from __future__ import annotations

import ipaddress
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any

Address = tuple[socket.AddressFamily, Any]


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """Connected to the first address that takes it, each given its share of the time. Raises OSError: gaierror, TimeoutError, ..."""
    found = addresses(host, port, deadline)
    for untried, (family, address) in zip(range(len(found), 0, -1), found, strict=True):
        line = socket.socket(family, socket.SOCK_STREAM)
        try:
            line.settimeout(max((deadline - time.monotonic()) / untried, 0.001))
            line.connect(address)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            line.close()
            if untried == 1:
                raise
        else:
            return line
    raise socket.gaierror


def addresses(host: str, port: int, deadline: float) -> list[Address]:
    """At least one. A name (not a number) is looked up on a thread that may be left behind. Raises gaierror, TimeoutError."""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return [(socket.AF_INET if number.version == 4 else socket.AF_INET6, (host, port))]
    found: list[Address] = []
    failed: list[OSError] = []

    def look() -> None:
        try:
            found.extend((family, address) for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            failed.append(socket.gaierror())

    thread = threading.Thread(target=look, name="figway-resolver", daemon=True)
    thread.start()
    thread.join(max(deadline - time.monotonic(), 0))
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return list(found)


def quiet(line: socket.socket) -> bool:
    """Whether nothing waits to be read: neither the peer's end nor a word that nobody asked for. Asks this side's kernel only."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return not poll.poll(0)


def cut(line: socket.socket) -> None:
    """End whatever blocks on it, in any thread. Past SSLSocket's own shutdown, which would drop the encryption under a reader."""
    with suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)
