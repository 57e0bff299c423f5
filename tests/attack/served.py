"""What attacks over the wire are made on: the demo estate, and `figway serve` over a copy of its catalogue, whole or without a control."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.estate import Estate
from tests.attack.parts import Control, Site
from tests.flow.client import Facade, Response
from tests.live import CATALOGUE, serving
from wrapper.policy.keys import Caller
from wrapper.state.store import Store

A, B = "0000012345", "0000010001"
"""Alice's customer and Bob's."""
READS = "customers:read accounts:read credit:read ledger:read applications:read risk:read"
WRITES = "customers:write payments:write"
RISK = frozenset({"credit-risk"})


def caller(name: str, scopes: str, customer: str = "*", purposes: frozenset[str] = RISK, tenant: str = "") -> Caller:
    return Caller(name, frozenset(scopes.split()), purposes, {"customer": frozenset({customer})}, tenant)


CALLERS = (
    caller("alice", f"{READS} {WRITES}", A),
    caller("bob", f"{READS} {WRITES}", B),
    caller("auditor", f"{READS} pii:read migration:read migration:samples"),
    caller("tester", f"{READS} {WRITES} cache:bypass migration:test"),
    caller("nothing", ""),
    caller("aimless", READS, A, frozenset()),
    caller("servant", READS, A, frozenset({"servicing"})),
    caller("changer", "migration:read migration:change migration:approve health:read"),
    caller("second", "migration:read migration:approve"),
    caller("sweeper", f"migration:sweep {READS}", B),
)
NORTH, SOUTH = caller("app", f"{READS} {WRITES}", A, tenant="north"), caller("app", f"{READS} {WRITES}", A, tenant="south")
_UNIQUE = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Target:
    """A served facade, the estate behind it, and where it keeps what it keeps."""

    facade: Facade
    state: str
    folder: Path

    @property
    def estate(self) -> Estate:
        return self.facade.estate

    def ask(self, request: str, key: str | None = "alice", **more: Any) -> Response:
        """See tests.flow.client.Facade.ask."""
        return self.facade.ask(request, key=key, **more)

    def key(self, name: str) -> str:
        return self.facade.keys[name]

    def send(self, data: bytes, seconds: float = 5.0, most: int = 1 << 20) -> bytes:
        """These very bytes on a connection of their own, and what comes until the facade closes it, or falls silent for a second."""
        with socket.create_connection(self.facade.address, seconds) as line:
            line.settimeout(1.5)
            line.sendall(data)
            came = b""
            try:
                while len(came) < most and (piece := line.recv(65536)):
                    came += piece
            except OSError:
                pass
            return came

    def head(self, request: str, key: str | None = "alice", *lines: str) -> bytes:
        """A request's head as bytes, ended."""
        said = [f"{request} HTTP/1.1", "Host: figway", *([f"Authorization: Bearer {self.key(key)}"] if key else []), *lines]
        return "\r\n".join([*said, "", ""]).encode("latin-1")

    def log(self) -> str:
        """What it has logged so far; lines wait for a twentieth of a second."""
        time.sleep(0.15)
        return self.facade.log.read_text()


def unique() -> str:
    """A key that nobody has used."""
    return f"key-{os.getpid()}-{next(_UNIQUE)}"


@contextmanager
def served(site: Site, without: Control | None, estate: Estate, settings: Mapping[str, str], folder: Path) -> Iterator[Target]:
    """Served until the block ends. `settings` say where the estate is."""
    catalogue = folder / "catalogue"
    shutil.copytree(CATALOGUE, catalogue)
    for name, text in site.files.items():
        (catalogue / name).write_text(text)
    said = {
        **settings, "FIGWAY_MODELS": str(CATALOGUE.parent / "models"), "FIGWAY_LOG_LEVEL": "info", "FIGWAY_DRAIN": "0", **site.settings,
        **(without.environment() if without else {}),
    }  # fmt: skip
    with serving(said, CALLERS, folder, catalogue) as made:
        with closing(Store(made.state)) as store:
            keys = {**made.keys, **{f"{each.tenant}/{each.name}": store.issue(each) for each in (NORTH, SOUTH)}}
        yield Target(Facade(made.address, keys, estate, made.log), made.state, folder)
