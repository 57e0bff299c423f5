"""The live back ends of one process: opened on first use after fork, closed together."""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.base import Adapter, Events, Files
from adapters.events import SILENT
from wrapper.catalogue.found import CatalogueError, Found, spoken, texts
from wrapper.operation import Catalogue, System
from wrapper.settings import BadSettings, Settings, resolve


class FileLeases:
    """Leases as locked files in a folder: one holder among all processes of a host, freed by the kernel when the holder dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}
        self._barred: set[str] = set()
        self._lock = threading.Lock()

    def take(self, names: Sequence[str], holding: int = 0) -> str | None:
        """See base.Leases; nobody is told that we wait."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            for name in names:
                if name not in self._held and name not in self._barred and self._locked(name):
                    return name
        return None

    def holds(self, name: str, until: float) -> bool:
        return name in self._held

    def wanted(self, name: str) -> bool:
        return False

    def bar(self, name: str) -> None:
        self._barred.add(name)

    def barred(self, name: str) -> bool:
        return name in self._barred

    def _locked(self, name: str) -> bool:
        handle = os.open(self._folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)}.lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._held[name] = handle
        return True

    def give(self, name: str) -> None:
        with self._lock:
            handle = self._held.pop(name, None)
            if handle is not None:
                os.close(handle)


class Systems:
    """Adapters by system name."""

    def __init__(self, catalogue: Catalogue, settings: Settings, files: Files, leases: FileLeases, events: Events = SILENT) -> None:
        self._systems = catalogue.systems
        self._settings, self._files, self._leases, self._events = settings, files, leases, events
        self._open: dict[str, Adapter] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Adapter:
        """Raises BadSettings when a reference of the system's block can't be resolved."""
        adapter = self._open.get(name)
        if adapter is None:
            with self._lock:
                adapter = self._open.get(name) or self._open.setdefault(name, self._make(self._systems[name]))
        return adapter

    def _make(self, system: System) -> Adapter:
        block: Mapping[str, Any] = resolve(system.block, self._settings.environ, f"systems.yaml:{system.line}: {system.name}")
        return registry.adapter(system.kind).open(system.name, block, self._files, self._leases, self._events)

    def check_references(self) -> None:
        """Raises CatalogueError with every host and secret that is not there; opens nothing."""
        missing = []
        for system in self._systems.values():
            for path, text in texts(system.block, ()):
                try:
                    resolve(text, self._settings.environ, f"{system.name}.{spoken(path)}")
                except BadSettings as error:
                    missing.append(Found("systems.yaml", system.lines.get(path, system.line), str(error)))
        if missing:
            raise CatalogueError(missing)

    def open_all(self) -> None:
        """Fail at start, not at the first call."""
        for name in self._systems:
            self[name]

    def probe(self, timeout: float) -> dict[str, str]:
        """Every system's state, asked side by side: `up`, or the title of what is wrong."""
        return dict(_side_by_side([(name, partial(_probe, self, name, timeout)) for name in self._systems], timeout + 1))

    def close(self) -> None:
        """Sign off everywhere, side by side; returns within 6 seconds."""
        with self._lock:
            closing, self._open = list(self._open.items()), {}
        _side_by_side([(name, adapter.close) for name, adapter in closing], 6)


def _probe(systems: Systems, name: str, timeout: float) -> str:
    try:
        systems[name].probe(timeout)
    except Exception as error:  # noqa: BLE001 - whatever is wrong is the answer here
        return str(getattr(error, "title", type(error).__name__))
    return "up"


def _side_by_side(jobs: Sequence[tuple[str, Callable[[], object]]], timeout: float) -> list[tuple[str, str]]:
    if not jobs:
        return []
    pool = ThreadPoolExecutor(len(jobs), thread_name_prefix="figway-systems")
    futures = [(name, pool.submit(job)) for name, job in jobs]
    wait([f for _, f in futures], timeout)
    pool.shutdown(wait=False, cancel_futures=True)
    return [(name, str(f.result()) if f.done() and not f.exception() else "no answer") for name, f in futures]
