"""`python -m tests.bench.load`: the load generator, a process of its own so that its cost is nobody's.

It reads one job a line as JSON and answers with one line. A job asks `requests` in turn over `connections` kept-alive connections
for `seconds`; an answer with the status that its request names must hold its text. A client that is told to come back later (503)
does, after as long as it was told. With a `rate` (requests a second, of all connections) each client asks at its own fixed times, or at
once when it is late.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) .*?content-length: (\d+)\r\n", re.IGNORECASE | re.DOTALL)
_LATER = re.compile(rb"\r\nretry-after: (\d+)\r\n", re.IGNORECASE)
PATIENCE = 20.0  # seconds after the end for answers that are still out


@dataclass(slots=True)
class Result:
    """`wrong` answers have the right status and the wrong text; `lost` ones never came; times are seconds."""

    answered: int = 0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    lost: int = 0
    times: list[float] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        ordered = sorted(self.times) or [0.0]
        cut = {f"p{p}": ordered[min(int(len(ordered) * p / 100), len(ordered) - 1)] for p in (50, 99)}
        return {**{name: getattr(self, name) for name in ("answered", "seconds", "statuses", "wrong", "lost")}, **cut}


@dataclass(slots=True)
class Client:
    """One connection and what it waits for."""

    sock: socket.socket
    status: bytes = b""
    text: bytes = b""
    began: float = 0.0
    got: bytes = b""
    due: float = 0.0


class Clients:
    """All of a job's connections, in one thread."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._address, self._result, self._poll = tuple(job["address"]), Result(), select.epoll()
        self._asked = cycle([(sent.encode("latin-1"), b"%d" % status, text.encode()) for sent, status, text in job["requests"]])
        self._began = self._last = time.monotonic()
        self._until = self._began + job["seconds"]
        self._open: dict[int, Client] = {}
        self._later: list[float] = []  # when those that were told to come back later do, on a new connection
        self._pace = job["connections"] / job["rate"] if "rate" in job else 0.0
        self._resting: list[Client] = []  # until they are due
        for n in range(job["connections"]):
            self._dial(self._began + self._pace * n / job["connections"])

    def run(self) -> Result:
        """Until the time is up and the last answer is there."""
        while (self._open or self._later) and time.monotonic() < self._until + PATIENCE:
            for number, _ in self._poll.poll(self._patience()):
                self._read(self._open[number])
            self._come_back()
        self._result.lost += len(self._open)
        for client in list(self._open.values()):
            self._hang_up(client)
        self._poll.close()
        self._result.seconds = self._last - self._began
        return self._result

    def _patience(self) -> float:
        """Seconds until somebody is due."""
        due = min((client.due for client in self._resting), default=0.0)
        return max(0.0, min(due - time.monotonic(), 0.5)) if due else 0.05 if self._later else 0.5

    def _read(self, client: Client) -> None:
        try:
            piece = client.sock.recv(262144)
        except OSError:
            piece = b""
        client.got += piece
        end = client.got.find(b"\r\n\r\n")
        head = _HEAD.match(client.got) if end >= 0 else None
        if not piece:
            self._result.lost += 1
            self._hang_up(client)
            self._later.append(time.monotonic())
        elif head is not None and len(client.got) >= end + 4 + int(head[2]):
            self._answered(client, head[1], client.got[end:])
            self._go_on(client, closing=b"connection: close" in client.got[:end].lower())

    def _answered(self, client: Client, status: bytes, body: bytes) -> None:
        self._last = time.monotonic()
        self._result.answered += 1
        self._result.statuses[status.decode()] += 1
        self._result.times.append(self._last - client.began)
        self._result.wrong += status == client.status and client.text not in body

    def _go_on(self, client: Client, *, closing: bool) -> None:
        shed = client.got.startswith(b"HTTP/1.1 503")
        if not closing and not shed and self._last < self._until:
            client.due = max(client.due + self._pace, self._last) if self._pace else 0.0
            self._resting.append(client) if self._pace else self._send(client)
            return
        told = _LATER.search(client.got) if shed else None
        self._hang_up(client)
        self._later.append(self._last + (int(told[1]) if told else 0))

    def _come_back(self) -> None:
        now = time.monotonic()
        for client in [client for client in self._resting if client.due <= now]:
            self._resting.remove(client)
            self._send(client) if now < self._until else self._hang_up(client)
        due = [when for when in self._later if when <= now]
        self._later = [when for when in self._later if now < when < self._until]
        for _ in due if now < self._until else ():
            self._dial()

    def _send(self, client: Client) -> None:
        request, client.status, client.text = next(self._asked)
        client.got, client.began = b"", time.monotonic()
        client.sock.sendall(request)

    def _dial(self, due: float = 0.0) -> None:
        sock = socket.create_connection(self._address, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(sock, select.EPOLLIN)
        self._open[sock.fileno()] = client = Client(sock, due=due)
        self._resting.append(client) if self._pace else self._send(client)

    def _hang_up(self, client: Client) -> None:
        del self._open[client.sock.fileno()]
        self._poll.unregister(client.sock)
        client.sock.close()


def main() -> None:
    for text in sys.stdin:
        print(json.dumps(Clients(json.loads(text)).run().told()), flush=True)


if __name__ == "__main__":
    main()
