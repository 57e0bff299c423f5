"""A facade over one SQLite file, served as its own process: quick to start, for tests of the serving itself."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import needs
from tests.live import ROOT
from tests.processes import descendants
from tests.waiting import until
from wrapper.policy.keys import Caller
from wrapper.state.store import Store

SYSTEMS = "systems:\n  shelf:\n    kind: odbc\n    dsn: env:SHELF_DSN\n"
ENDPOINT = """
endpoint: {name}
summary: One thing
owner: us
group: things
route: GET /v1/{name}/{{id}}
auth: {{scope: things:read}}
effect: read
request:
  id: {{in: path, type: string, pattern: "[0-9]{{1,5}}"}}
response:
  object: {{word: {{type: string}}}}
legacy:
  system: shelf
  sql: SELECT WORD AS word FROM THING WHERE ID = :id
  columns: {{word: text}}
limits: {{deadline: 5s}}
examples:
  - {{request: {{id: "1"}}, expect: {{status: 200}}}}
"""


@dataclass(frozen=True)
class Running:
    """A served facade, its settings, its catalogue's folder, its log, its state store's folder, and a key for it."""

    child: subprocess.Popen[bytes]
    address: tuple[str, int]
    environ: Mapping[str, str]
    catalogue: Path
    log: Path
    state: Path
    key: str

    def ask(self, path: str, on: http.client.HTTPConnection | None = None) -> http.client.HTTPResponse:
        """Read to its end: on a connection of its own, or on a kept one."""
        line = on or http.client.HTTPConnection(*self.address, timeout=10)
        line.request("GET", path, headers={"Authorization": f"Bearer {self.key}"})
        answer = line.getresponse()
        answer.read()
        line.close() if on is None else None
        return answer

    def told(self, event: str) -> list[dict[str, Any]]:
        whole, _, _ = self.log.read_text().rpartition("\n")  # the last line may be in the midst of being written
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def hup(self) -> None:
        self.child.send_signal(signal.SIGHUP)

    def child_of(self, words: str) -> int:
        """The youngest process below the supervisor whose command line has these words, once there is one."""
        until(lambda: self.children_of(words))
        return self.children_of(words)[-1]

    def children_of(self, words: str) -> list[int]:
        return [pid for pid, line in descendants(self.child.pid).items() if words in line]


def prepared(folder: Path) -> tuple[Path, Mapping[str, str]]:
    """A catalogue of one endpoint, and the settings to serve it."""
    driver = needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/odbc/libsqlite3odbc.so")
    with closing(sqlite3.connect(folder / "shelf.sqlite")) as shelf:
        shelf.executescript("CREATE TABLE THING (ID TEXT, WORD TEXT); INSERT INTO THING VALUES ('1', 'brick')")
    catalogue = folder / "catalogue"
    (catalogue / "endpoints").mkdir(parents=True)
    (catalogue / "systems.yaml").write_text(SYSTEMS)
    (catalogue / "endpoints" / "things.yaml").write_text(ENDPOINT.format(name="things"))
    settings = {
        "FIGWAY_CATALOGUE": str(catalogue), "FIGWAY_STATE": f"sqlite:///{folder}/state/state.sqlite", "FIGWAY_BIND": "127.0.0.1:0",
        "SHELF_DSN": f"Driver={driver};Database={folder}/shelf.sqlite",
    }  # fmt: skip
    return catalogue, {**os.environ, **settings}


def start(environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen([sys.executable, "-m", "wrapper.cli", "serve"], cwd=ROOT, env=environ, stdout=out, stderr=out)


def ended(child: subprocess.Popen[bytes]) -> int:
    """Its exit code. Whoever hangs is killed, with all below it."""
    try:
        return child.wait(40)
    finally:
        child.kill()


@contextmanager
def serving(folder: Path, files: Mapping[str, str] | None = None, **more: str) -> Iterator[Running]:
    """`files` of the catalogue, and settings, beyond those of prepared()."""
    catalogue, environ = prepared(folder)
    for name, text in (files or {}).items():
        (catalogue / name).write_text(text)
    with closing(Store(environ["FIGWAY_STATE"])) as store:
        made = store.issue(Caller("me", frozenset({"things:read"})))
    log = folder / "log"
    environ = {**environ, **more}
    child = start(environ, log)
    try:
        running = Running(child, ("127.0.0.1", 0), environ, catalogue, log, folder / "state", made)
        until(lambda: running.told("ready") or child.poll() is not None)
        assert child.poll() is None, log.read_text()
        port = int(running.told("ready")[0]["address"].rpartition(":")[2])
        yield Running(child, ("127.0.0.1", port), environ, catalogue, log, folder / "state", made)
    finally:
        child.terminate()
        ended(child)
