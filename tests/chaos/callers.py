"""Callers who misbehave: heads and bodies that do not come, answers that nobody reads, callers who go in the middle of a write.

They are bad for themselves only: somebody else is answered rightly and in time while they are there, and they are cut.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from tests.chaos.rig import Rig
from tests.chaos.rows import Outcome, Row

CUT = 25.0  # seconds after which a caller who stalls must be gone
NEVER = 5  # fewer than there are seats: while they are answered they are callers like any other
USUAL = 1.5  # seconds in which others are still answered
OTHERS = ("customers.get", "income.summary", "credit.check", "accounts.direct")


@contextmanager
def _connected(rig: Rig, count: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Sockets that have each sent `first`, and no more."""
    with ExitStack() as up:
        lines = [up.enter_context(socket.create_connection(rig.served.address, 5)) for _ in range(count)]
        for line in lines:
            line.sendall(first)
        yield lines


def _open(lines: Sequence[socket.socket], seconds: float) -> int:
    """How many of them the facade has not ended after `seconds`. An answer (408, say) may come first."""
    until, left = time.monotonic() + seconds, list(lines)
    while left and time.monotonic() < until:
        for line in select.select(left, [], [], 0.2)[0]:
            try:
                ended = line.recv(65536) == b""
            except OSError:
                ended = True
            if ended:
                left.remove(line)
    return len(left)


def _head(rig: Rig, method: str, path: str, *more: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: figway", f"Authorization: Bearer {rig.served.keys['chaos']}", *more)
    return "\r\n".join((*lines, "", "")).encode()


def _others(rig: Rig, slowest: float = USUAL) -> tuple[str, float]:
    """What was wrong with others' answers, asked one after the other for a second, and the longest."""
    until, longest = time.monotonic() + 1.0, 0.0
    while time.monotonic() < until:
        for name in OTHERS:
            seen = rig.ask(name)
            longest = max(longest, seen.seconds)
            if seen.slug != "right":
                return f"{name} was answered with {seen.status} {seen.slug}", longest
    return f"others waited {longest:.1f} s" if longest > slowest else "", longest


def _stalling(count: int, first: Callable[[Rig], bytes]) -> Callable[[Rig], Outcome]:
    def run(rig: Rig) -> Outcome:
        with _connected(rig, count, first(rig)) as lines:
            wrong, longest = _others(rig)
            open_still = _open(lines, CUT)
        told = f"{count - open_still} of {count} cut"
        return Outcome(told, longest, wrong or (f"{open_still} still open after {CUT:.0f} s" if open_still else ""))

    return run


def _never_reads(rig: Rig) -> Outcome:
    """Many requests on one connection, no byte of the answers read: they fill every buffer on the way."""
    busy = rig.customers[0]
    first = _head(rig, "GET", f"/v1/customers/{busy.id}/entries") * 1500
    with ExitStack() as up:
        lines = []
        for _ in range(NEVER):
            line = up.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(5)
            line.connect(rig.served.address)
            line.setblocking(False)
            with suppress(BlockingIOError):
                line.send(first)
            lines.append(line)
        wrong, longest = _others(rig)
        gone = _refused(lines, CUT)
    told = f"{gone} of {len(lines)} cut"
    return Outcome(told, longest, wrong or ("" if gone == len(lines) else f"{len(lines) - gone} not cut after {CUT:.0f} s"))


def _refused(lines: Sequence[socket.socket], seconds: float) -> int:
    """How many the facade has ended: seen without reading, by the poll's own flags."""
    poll, gone = select.poll(), set[int]()
    for line in lines:
        poll.register(line, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
    until = time.monotonic() + seconds
    while len(gone) < len(lines) and time.monotonic() < until:
        for number, _ in poll.poll(200):
            gone.add(number)
            poll.unregister(number)
    return len(gone)


def _gone_mid_write(rig: Rig) -> Outcome:
    """A caller sends an address and hangs up. The same key asked again tells what became of it, and the host has it at most once."""
    longest, told = 0.0, []
    for n, customer in enumerate(rig.customers[20:26]):
        address = {"line1": f"{n} GONE STREET", "town": "LEEDS", "postcode": "LS1 4DY"}
        body, key = json.dumps(address).encode(), f"gone-{n}-{rig.dice.getrandbits(40)}"
        path = f"/v1/customers/{customer.id}/address"
        head = _head(rig, "PUT", path, "Content-Type: application/json", f"Idempotency-Key: {key}", f"Content-Length: {len(body)}")
        before = _commits(rig, customer.id)
        with socket.create_connection(rig.served.address, 5) as line:
            line.sendall(head + body)
            time.sleep(rig.dice.random() * 0.02)
        seen = rig.send("PUT", path, address, {"Idempotency-Key": key})
        until = time.monotonic() + 5
        while seen.status == 409 and time.monotonic() < until:
            time.sleep(0.1)
            seen = rig.send("PUT", path, address, {"Idempotency-Key": key})
        longest = max(longest, seen.seconds)
        told.append(str(seen.status))
        if seen.status != 200 or _commits(rig, customer.id) - before != 1:
            return Outcome(" ".join(told), longest, f"{seen.status} {seen.slug}; {_commits(rig, customer.id) - before} commits")
    return Outcome("repeated under the same key: " + " ".join(told), longest)


def _commits(rig: Rig, customer: str) -> int:
    return sum(entry.customer == customer for entry in rig.estate.host.journal.entries("commit"))


def rows() -> list[Row]:
    write = ("PUT", "/v1/customers/0000010003/address", "Content-Type: application/json", "Idempotency-Key: stalled")
    return [
        Row("caller", "slow headers", _stalling(40, lambda rig: _head(rig, "GET", "/v1/customers/0000012345")[:-6])),
        Row("caller", "says nothing", _stalling(40, lambda rig: b"")),
        Row("caller", "stalled body", _stalling(40, lambda rig: _head(rig, *write, "Content-Length: 500") + b'{"line1": "1 ')),
        Row("caller", "stalled chunks", _stalling(20, lambda rig: _head(rig, *write, "Transfer-Encoding: chunked") + b"20\r\n{")),
        Row("caller", "never reads", _never_reads),
        Row("caller", "gone mid-write", _gone_mid_write),
    ]
