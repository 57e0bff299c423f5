"""An engine whose transactions are timed, and whose failures are counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from adapters.base import Events
from wrapper.problems import NotReady
from wrapper.state.database import BOUND, Database, Transaction


class Timed:
    """`events` hear of every transaction; all but the two ways to ask is the engine's own."""

    def __init__(self, engine: Database, events: Events) -> None:
        self._engine, self._events = engine, events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def transaction(self, alone: str = "", within: float = BOUND, apart: str = "") -> AbstractContextManager[Transaction]:
        return self._told("store_write", self._engine.transaction(alone, within, apart))

    def reading(self, apart: str = "") -> AbstractContextManager[Transaction]:
        return self._told("store_read", self._engine.reading(apart))

    @contextmanager
    def _told(self, what: str, block: AbstractContextManager[Transaction]) -> Iterator[Transaction]:
        began = time.monotonic()
        try:
            with block as tx:
                yield tx
        except NotReady:
            self._events.happened("store_failed", "store")
            raise
        finally:
            self._events.took(what, "store", time.monotonic() - began)
