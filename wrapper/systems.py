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
from wrapper import functions, log, shares
from wrapper.catalogue.found import CatalogueError, Found, spoken, texts
from wrapper.credentials import credential
from wrapper.operation import Catalogue, System
from wrapper.settings import BadSettings, Settings, resolve

LOGINS = ("credentials", "basic", "username_token")
"""What must be user:password."""
RENEWED = 5.0
"""Seconds after which a secret that has changed is taken over, at most."""


class Systems:
    """Adapters by system name."""

    def __init__(
        self, catalogue: Catalogue, settings: Settings, files: Files, leases: Leases, events: Events = SILENT, renew: float = RENEWED
    ) -> None:
        self._catalogue, self._systems = catalogue, catalogue.systems
        self._settings, self._files, self._leases, self._events = settings, files, leases, events
        self._open: dict[str, Guarded] = {}
        self._blocks: dict[str, Mapping[str, Any]] = {}  # as they were when they were opened
        self._lock = threading.Lock()
        self._every, self._ended = renew, threading.Event()

    def __getitem__(self, name: str) -> Guarded:
        """Raises BadSettings when a reference of the system's block can't be resolved."""
        adapter = self._open.get(name)
        if adapter is None:
            with self._lock:
                adapter = self._open.get(name) or self._open.setdefault(name, self._make(self._systems[name]))
        return adapter

    def _make(self, system: System) -> Guarded:
        """The adapter with this worker's share of it, guarded."""
        where = _where(system)
        resolved = self._resolved(system)
        block: Mapping[str, Any] = resolved
        if "users" in block:
            try:
                block = {**block, "users": [{**user, "credentials": self._credential(system, user)} for user in system.block["users"]]}
            except ValueError as error:
                raise BadSettings(f"{where}: {error}") from None
        block = shares.block(system, block, self._settings)
        opened: Adapter = registry.adapter(system.kind).open(system.name, block, self._files, self._leases, self._events)
        self._blocks[system.name] = resolved
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
        """Fail at start, not at the first call; from then on secrets that change are taken over."""
        for name in self._systems:
            self[name]
        threading.Thread(target=self._renew, name="figway-secrets", daemon=True).start()

    def _renew(self) -> None:
        """A system whose secrets have changed is opened anew beside the old one, which is closed a turn later: what it does is finished.
        What can't be read just now changes nothing."""
        replaced: list[Guarded] = []
        ended = False
        while not ended:
            ended = self._ended.wait(self._every)
            for old in replaced:
                old.close()
            replaced = [] if ended else list(filter(None, map(self._renewed, self._systems.values())))

    def _renewed(self, system: System) -> Guarded | None:
        """The adapter that was replaced, if it had to be."""
        try:
            if self._resolved(system) == self._blocks[system.name]:
                return None
            fresh = self._make(system)
        except Exception as error:  # noqa: BLE001 - the old one serves on
            said = {"fault": str(error)} if isinstance(error, BadSettings) else {}
            log.get().warning("secrets", system=system.name, outcome="not renewed", error=type(error).__name__, **said)
            return None
        with self._lock:
            if self._ended.is_set():
                return fresh
            replaced = self._open[system.name]
            self._open[system.name] = fresh
        log.get().info("secrets", system=system.name, outcome="renewed")
        return replaced

    def _resolved(self, system: System) -> dict[str, Any]:
        """Its block with what its references lead to now; a user's credentials are left out, they are read at each sign-on."""
        block = dict(system.block)
        users = block.pop("users", None)
        made: dict[str, Any] = resolve(block, self._settings.environ, _where(system))
        return made if users is None else {**made, "users": users}

    def probe(self, timeout: float) -> dict[str, str]:
        """Every system's state, asked side by side: `up`, `closed` (its hours), or what is wrong: an error's title, a breaker."""
        return dict(_side_by_side([(name, partial(_probe, self, name, timeout)) for name in self._systems], timeout + 1))

    def close(self) -> None:
        """Sign off everywhere, side by side; returns within 6 seconds."""
        self._ended.set()
        with self._lock:
            closing, self._open = list(self._open.items()), {}
        _side_by_side([(name, adapter.close) for name, adapter in closing], 6)


def _where(system: System) -> str:
    return f"systems.yaml:{system.line}: {system.name}"


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
