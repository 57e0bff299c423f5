"""One estate and one facade under real gunicorn for all flow tests: `figway serve`, as anybody would start it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fixtures.estate import Estate
from tests import needs
from tests.flow.client import Facade
from wrapper.policy import keys
from wrapper.state.store import Store

ROOT = Path(__file__).resolve().parents[2]
READS = "customers:read accounts:read credit:read ledger:read applications:read risk:read"
EVERYBODY = {"customer": frozenset({"*"})}
CALLERS = (
    keys.Caller("teller", frozenset(f"{READS} customers:write payments:write".split()), frozenset({"credit-risk"}), EVERYBODY),
    keys.Caller("other", frozenset(f"{READS} customers:write payments:write".split()), frozenset({"credit-risk"}), EVERYBODY),
    keys.Caller("auditor", frozenset(f"{READS} pii:read".split()), frozenset({"credit-risk", "servicing"}), EVERYBODY),
    keys.Caller("bound", frozenset(READS.split()), frozenset({"credit-risk"}), {"customer": frozenset({"0000012345"})}),
    keys.Caller("operator", frozenset({"health:read"})),
)


@pytest.fixture(scope="session")
def estate() -> Iterator[tuple[Estate, Mapping[str, str]]]:
    """The servers, and the settings by which they are reached."""
    needs.program("s3270")
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/odbc/libsqlite3odbc.so")
    made = Estate()
    with made as settings:
        yield made, settings


@pytest.fixture(scope="session")
def facade(estate: tuple[Estate, Mapping[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facade]:
    """Served until the last flow test has run; it must then stop by itself, with exit code 0."""
    servers, settings = estate
    folder = tmp_path_factory.mktemp("facade")
    state = f"sqlite:///{folder}/state.sqlite"
    made = _keys(state)
    port = free_port()
    told = ["--catalogue", "fixtures/catalogue", "--state", state, "--bind", f"127.0.0.1:{port}"]
    argv = [sys.executable, "-m", "wrapper.cli", "serve", *told]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(argv, cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log, start_new_session=True)
    served = Facade(("127.0.0.1", port), made, servers, folder / "log")
    try:
        _wait(served, child)
        yield served
    finally:
        child.terminate()
        assert child.wait(40) == 0, served.log.read_text()[-2000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _keys(state: str) -> dict[str, str]:
    store = Store(state)
    made = {caller.name: keys.new(caller) for caller in CALLERS}
    for _, row in made.values():
        store.put_key(row)
    store.close()
    return {name: key for name, (key, _) in made.items()}


def _wait(served: Facade, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and child.poll() is None:
        try:
            if served.ask("GET /health/ready", key=None).status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"figway serve did not get ready:\n{served.log.read_text()[-2000:]}")
