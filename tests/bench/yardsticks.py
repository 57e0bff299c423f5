"""What a user would write without Figway: one plain script for each protocol, as its library's own documentation has it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import py3270
import pyodbc
import zeep
from zeep.wsse.username import UsernameToken

HELLO = "from flask import Flask\napp = Flask('hello')\n@app.get('/')\ndef hello():\n    return {'hello': 'world'}\n"


def one_shot_3270(env: Mapping[str, str], customer: str) -> Callable[[], str]:
    """Spawn, connect, sign on, ask, sign off: a py3270 script that is run for each question."""
    user, password = env["FIGW03_LOGIN"].split(":", 1)

    def ask() -> str:
        screen = py3270.Emulator(visible=False)
        screen.connect(f"FIGW03@{env['COREBANK_HOST']}:{env['COREBANK_PORT']}")
        screen.wait_for_field()
        _enter(screen, ("COREBANK", 20, 18))
        _enter(screen, (user, 8, 18), (password, 9, 18))
        _enter(screen, ("1", 18, 18))
        _enter(screen, (customer, 4, 18))
        text = "\n".join(screen.string_get(row, 1, 80) for row in range(1, 25))
        screen.exec_command(b"PF(3)")
        screen.wait_for_field()
        _enter(screen, ("X", 18, 18))
        screen.terminate()
        assert customer in text
        return text

    return ask


def _enter(screen: py3270.Emulator, *typed: tuple[str, int, int]) -> None:
    for text, row, column in typed:
        screen.send_string(text, row, column)
    screen.send_enter()
    screen.wait_for_field()


def plain_zeep(env: Mapping[str, str], wsdl: str, national_id: str) -> Callable[[], object]:
    """One kept zeep client."""
    user, password = env["BUREAU_LOGIN"].split(":", 1)
    client = zeep.Client(wsdl, wsse=UsernameToken(user, password))
    binding = next(iter(client.wsdl.bindings))
    service = client.create_service(binding, env["BUREAU_URL"])
    return lambda: service.assess(Subject={"NationalId": national_id}, Purpose="CREDIT")


def raw_pyodbc(env: Mapping[str, str], customer: str) -> Callable[[], object]:
    """A live connection, a new cursor for each question."""
    connection = pyodbc.connect(env["LEDGER_DSN"], autocommit=True)
    return lambda: connection.cursor().execute("SELECT INCM, EXPN, UPDDT FROM INCOME WHERE CUSTNO = ?", customer).fetchall()


@contextmanager
def bare_flask(folder: str) -> Iterator[tuple[str, int]]:
    """A Flask hello under the same gunicorn, worker class, workers and threads as Figway's."""
    with open(f"{folder}/hello.py", "w", encoding="utf-8") as out:
        out.write(HELLO)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [
        sys.executable,
        "-m",
        "gunicorn",
        "--chdir",
        folder,
        "--worker-class",
        "gthread",
        "--workers",
        "1",
        "--threads",
        "32",
        "--keep-alive",
        "5",
    ]
    server = subprocess.Popen([*argv, "--bind", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "error", "hello:app"])
    try:
        _await(("127.0.0.1", port))
        yield "127.0.0.1", port
    finally:
        server.terminate()
        server.wait(10)


def _await(address: tuple[str, int]) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            socket.create_connection(address, 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {address}")
