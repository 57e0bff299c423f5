"""Who acts on evidence by itself: takes an endpoint back when the last minutes were bad, and moves it on where its file says so."""

from __future__ import annotations

from adapters.base import Events
from adapters.events import SILENT
from wrapper.operation import Catalogue
from wrapper.state.clock import Clock
from wrapper.state.store import Store


class Pilot:
    """Several may run, in several processes: what one has moved, another finds moved."""

    def __init__(self, catalogue: Catalogue, store: Store, clock: Clock, events: Events = SILENT) -> None:
        self._catalogue, self._store, self._clock, self._events = catalogue, store, clock, events

    def turn(self) -> None:
        """Look at all endpoints, once a second at most."""
