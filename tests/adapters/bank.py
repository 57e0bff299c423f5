"""What tests of the 3270 adapter share: the demo mainframe, adapters to it, calls and their failures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters import base
from adapters.base import Adapter, Call, Credential, Reply
from adapters.errors import AdapterError, Unavailable
from adapters.events import SILENT
from adapters.tn3270 import adapter as tn3270
from adapters.tn3270 import target
from wrapper.catalogue.folder import Folder

CATALOGUE = Folder(Path(__file__).parents[2] / "fixtures" / "catalogue")
SYSTEM = {k: v for k, v in CATALOGUE.yaml("systems.yaml")["systems"]["corebank"].items() if k != "kind"}
ENQUIRY, LIST, MOVE = (
    target.compile(CATALOGUE.yaml(f"endpoints/{name}.yaml")["legacy"], SYSTEM, CATALOGUE)
    for name in ("customers.get", "accounts.list", "customers.move")
)
BUSY = "0000012345"
ADDRESS = {"line1": "1 NEW ROAD", "town": "LEEDS", "postcode": "LS1 4DY"}


class Leases:
    """Leases that nobody else wants."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.bars: set[str] = set()

    def take(self, names: Sequence[str], holding: int = 0) -> str | None:
        name = next((n for n in names if n not in self.held | self.bars), None)
        if name:
            self.held.add(name)
        return name

    def holds(self, name: str, until: float) -> bool:
        return name in self.held

    def wanted(self, name: str) -> bool:
        return False

    def give(self, name: str) -> None:
        self.held.discard(name)

    def bar(self, name: str) -> None:
        self.bars.add(name)

    def barred(self, name: str) -> bool:
        return name in self.bars


def static(login: str) -> Credential:
    return Credential(lambda _deadline: login)


def opened(
    address: tuple[str, int],
    passwords: Sequence[str] = ("PASS0001", "PASS0002", "PASS0003"),
    leases: base.Leases | None = None,
    events: base.Events = SILENT,
    **system: Any,
) -> Adapter:
    users = [{"lu": f"FIGW0{n}", "credentials": static(f"FIGW0{n}:{password}")} for n, password in enumerate(passwords, 1)]
    block = {**SYSTEM, "host": address[0], "port": str(address[1]), "users": users, **system}
    return tn3270.open("corebank", block, CATALOGUE, leases or Leases(), events)


def call(what: target.Target, customer: str, *, seconds: float = 5.0, **params: Any) -> Call:
    return Call("test", what, {"customer_id": customer, **params}, time.monotonic() + seconds)


def back_again(adapter: Adapter, what: target.Target, customer: str) -> Reply:
    """The answer after a session was given up: for a moment its ghost may hold the only user, which is said as a 503."""
    until = time.monotonic() + 5
    while True:
        try:
            return adapter.call(call(what, customer))
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def failed(adapter: Adapter, asked: Call, kind: type[AdapterError]) -> AdapterError:
    with pytest.raises(kind) as met:
        adapter.call(asked)
    assert type(met.value) is kind
    assert met.value.backend == "corebank"
    return met.value
