"""`python -m tests.bench.backends FILE`: back ends as cheap as can be, so that a facade in front of them is what is measured.

JSON and SOAP answers are prepared texts with the asked-for key put in; the mainframe is the demo estate's with more users, and
the ledger its SQLite. One listener takes connections and never says a word.
"""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from fixtures.customers import by_id
from fixtures.host3270 import Host3270
from fixtures.host3270.signon import User
from fixtures.odbc import Ledger

USERS = [User(f"FIGW{n:02}", f"PASS{n:04}") for n in range(1, 29)]
LOGIN = "figway:bureau-secret"
LONG = "ZZ000100A"
"""The national id whose credit answer has a hundred searches."""

_NAMES = ("name", "national_id", "line1", "town", "postcode")
_SEARCH = "<c:Search><c:Date>2026-0%d-11</c:Date><c:Lender>NORTHERN BANK</c:Lender><c:Amount>%d.50</c:Amount></c:Search>"
_CREDIT = (
    '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
    '<c:assessResponse xmlns:c="urn:example:bureau:credit:1"><c:Result><c:NationalId>%s</c:NationalId><c:ReturnCode>00</c:ReturnCode>'
    "<c:Reference>CR32205577</c:Reference><c:RiskGrade>C</c:RiskGrade><c:Limit>14367.84</c:Limit>"
    "<c:CheckedAt>2026-11-02T12:34:56</c:CheckedAt></c:Result><c:Report><c:Records>false</c:Records><c:Searches>%s</c:Searches>"
    "</c:Report></c:assessResponse></soap:Body></soap:Envelope>"
)
_ID = re.compile(rb"NationalId>([^<]+)<")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
Answer = Callable[[bytes, bytes], tuple[str, str]]


def customer(head: bytes, _body: bytes) -> tuple[str, str]:
    """GET /customers/ID."""
    return "application/json", _customer(head.split(b" ", 2)[1].rpartition(b"/")[2].decode())


@cache
def _customer(id: str) -> str:
    """What the mainframe knows too."""
    one = by_id()[id]
    owns = {name: f"{value}.00" for name, value in (("assets", one.assets), ("debt", one.debt)) if value is not None}
    told = {"customer_id": id, "since": one.since.isoformat(), **{name: getattr(one, name) for name in _NAMES}, **owns}
    return json.dumps(told, ensure_ascii=True)


def credit(_head: bytes, body: bytes) -> tuple[str, str]:
    """The bureau's assess."""
    found = _ID.search(body)
    id = found[1].decode() if found else ""
    rows = 100 if id == LONG else 2
    return "text/xml; charset=utf-8", _CREDIT % (id, "".join(_SEARCH % (n % 9 + 1, n + 100) for n in range(rows)))


def answering(answer: Answer) -> tuple[str, int]:
    """Serve prepared answers over kept-alive HTTP from one thread."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    threading.Thread(target=_serve, args=(listener, answer), daemon=True).start()
    address: tuple[str, int] = listener.getsockname()
    return address


def _serve(listener: socket.socket, answer: Answer) -> None:
    poll, lines, got = select.epoll(), dict[int, socket.socket](), dict[int, bytes]()
    poll.register(listener, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                line = listener.accept()[0]
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                lines[line.fileno()], got[line.fileno()] = line, b""
                poll.register(line, select.EPOLLIN)
                continue
            line = lines[number]
            try:
                piece = line.recv(65536)
            except OSError:
                piece = b""
            if not piece:
                poll.unregister(line)
                del lines[number], got[number]
                line.close()
                continue
            head, end, body = (got[number] + piece).partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if not end or len(body) < (int(length[1]) if length else 0):
                got[number] += piece
                continue
            got[number] = b""
            media, text = answer(head, body)
            line.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


def main(told: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    host, ledger, mute = Host3270(users=USERS), Ledger(told.parent), socket.create_server(("127.0.0.1", 0), backlog=1024)
    corebank, accounts, bureau = host.start(), answering(customer), answering(credit)
    settings = {
        "COREBANK_HOST": corebank[0], "COREBANK_PORT": str(corebank[1]), "MUTE_PORT": str(mute.getsockname()[1]),
        "ACCOUNTS_URL": f"http://{accounts[0]}:{accounts[1]}", "BUREAU_URL": f"http://{bureau[0]}:{bureau[1]}/credit",
        "BUREAU_LOGIN": LOGIN, "MUTE_URL": f"http://127.0.0.1:{mute.getsockname()[1]}",
        "LEDGER_DSN": ledger.start(), **{f"{user.name}_LOGIN": f"{user.name}:{user.password}" for user in USERS},
    }  # fmt: skip
    fresh = told.with_suffix(".new")
    fresh.write_text(json.dumps(settings))
    fresh.replace(told)
    signal.sigwait((signal.SIGTERM, signal.SIGINT))
    host.stop()
    ledger.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
