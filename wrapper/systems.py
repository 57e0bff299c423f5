"""The live back ends of one process: opened on first use after fork, closed together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from adapters import registry
from adapters.base import Adapter, Credential, Events, Files, Leases
from adapters.errors import Closed
from adapters.events import SILENT
from adapters.guard import Guarded, guarded
from wrapper import functions, shares
from wrapper.catalogue.found import CatalogueError, Found, spoken, texts
from wrapper.credentials import credential
from wrapper.operation import Catalogue, System
from wrapper.settings import BadSettings, Settings, resolve

LOGINS = ("credentials", "basic", "username_token")
"""What must be user:password."""


class Systems:
    """Adapters by system name."""

    def __init__(self, catalogue: Catalogue, settings: Settings, files: Files, leases: Leases, events: Events = SILENT) -> None:
        self._catalogue, self._systems = catalogue, catalogue.systems
        self._settings, self._files, self._leases, self._events = settings, files, leases, events
        self._open: dict[str, Guarded] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Guarded:
        """Raises BadSettings when a reference of the system's block can't be resolved."""
        adapter = self._open.get(name)
        if adapter is None:
            with self._lock:
                adapter = self._open.get(name) or self._open.setdefault(name, self._make(self._systems[name]))
        return adapter

    def _make(self, system: System) -> Guarded:
        """The adapter with this worker's share of it, guarded."""
        where = f"systems.yaml:{system.line}: {system.name}"
        block: Mapping[str, Any] = resolve(system.block, self._settings.environ, where)
        if "users" in block:
            try:
                block = {**block, "users": [{**user, "credentials": self._credential(system, user)} for user in system.block["users"]]}
            except ValueError as error:
                raise BadSettings(f"{where}: {error}") from None
        block = shares.block(system, block, self._settings)
        opened: Adapter = registry.adapter(system.kind).open(system.name, block, self._files, self._leases, self._events)
        return guarded(opened, shares.limits(system, self._catalogue, self._settings), self._events)

    def _credential(self, system: System, user: Mapping[str, str]) -> Credential:
        return credential(user["credentials"], self._settings.environ, self._settings.packages, system.name, user["lu"])

    def check_references(self) -> None:
        """Raises CatalogueError with every host and secret that is not there, or no login where one belongs; opens nothing."""
        missing = []
        for system in self._systems.values():
            for path, text in texts(system.block, ()):
                where = f"{system.name}.{spoken(path)}"
                try:
                    found = resolve(text, self._settings.environ, where)
                    if text.startswith("py:"):
                        functions.find(text, self._settings.packages, functions.CREDENTIAL)
                    elif path[-1] in LOGINS and ":" not in found:
                        raise BadSettings(f"{where}: {text} is not user:password")
                except (BadSettings, ValueError) as error:
                    missing.append(Found("systems.yaml", system.lines.get(path, system.line), str(error)))
        if missing:
            raise CatalogueError(missing)

    def open_all(self) -> None:
        """Fail at start, not at the first call."""
        for name in self._systems:
            self[name]

    def probe(self, timeout: float) -> dict[str, str]:
        """Every system's state, asked side by side: `up`, `closed` (its hours), or what is wrong: an error's title, a breaker."""
        return dict(_side_by_side([(name, partial(_probe, self, name, timeout)) for name in self._systems], timeout + 1))

    def close(self) -> None:
        """Sign off everywhere, side by side; returns within 6 seconds."""
        with self._lock:
            closing, self._open = list(self._open.items()), {}
        _side_by_side([(name, adapter.close) for name, adapter in closing], 6)


def _probe(systems: Systems, name: str, timeout: float) -> str:
    try:
        systems[name].probe(timeout)
        breakers = [f"breaker of {name} {state.name.lower().replace('_', '-')}" for name, state in systems[name].breakers().items()]
        return ", ".join(["up", *breakers])
    except Closed:
        return "closed"
    except Exception as error:  # noqa: BLE001 - whatever is wrong is the answer here
        return str(getattr(error, "title", type(error).__name__))


def _side_by_side(jobs: Sequence[tuple[str, Callable[[], object]]], timeout: float) -> list[tuple[str, str]]:
    if not jobs:
        return []
    pool = ThreadPoolExecutor(len(jobs), thread_name_prefix="figway-systems")
    futures = [(name, pool.submit(job)) for name, job in jobs]
    wait([f for _, f in futures], timeout)
    pool.shutdown(wait=False, cancel_futures=True)
    return [(name, str(f.result()) if f.done() and not f.exception() else "no answer") for name, f in futures]
