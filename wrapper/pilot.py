"""Who acts on evidence by itself: takes an endpoint back when the last minutes were bad, and moves it on where its file says so.

What it may do, and all that it looks at, is in promotion.py and the same for people.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from adapters.base import Events
from adapters.events import SILENT
from wrapper import log
from wrapper.migration.moves import Move
from wrapper.operation import Catalogue, Operation
from wrapper.promotion import Plan, alarm, back, carry_out, next_standing, plan, waits
from wrapper.state.clock import Clock
from wrapper.state.store import Store

NAME = "figway"
LOOK, TELL = 5.0, 60.0
"""Seconds between two looks at what could be promoted, and between two words about the same refusal."""
REST = 20
"""Times as long as such a look has taken it waits for the next: there may be hundreds of endpoints."""


class Pilot:
    """Several may run, in several processes: what one has moved, another finds moved."""

    def __init__(
        self, catalogue: Catalogue, store: Store, clock: Clock, events: Events = SILENT, note: Callable[..., object] = lambda *_, **__: None
    ) -> None:
        """`note` puts on record what was moved."""
        self._note = note
        self._catalogue, self._store, self._clock, self._events = catalogue, store, clock, events
        self._watched = {name: op for name, op in catalogue.operations.items() if op.migration is not None and op.modern is not None}
        self._look_due = 0.0
        self._told: dict[str, float] = {}

    def turn(self) -> None:
        """Look at all endpoints: to be called every second. Raises NotReady when the store is away."""
        if not self._watched:
            return
        moves = [(self._watched[name], move) for name, move in self._store.standings()[1].items() if name in self._watched]
        now = self._store.time_of_day()
        sound = [(operation, move) for operation, move in moves if self._apart(operation, partial(self._watch, operation, move, now))]
        began = self._clock.steady()
        if began < self._look_due:
            return
        for operation, move in sound:
            if operation.migration is not None and operation.migration.automatic:
                self._apart(operation, partial(self._move_on, operation, move, now))
        for operation in self._watched.values():
            self._apart(operation, partial(self._store.prune_epochs, operation.name))
        self._look_due = began + max(LOOK, REST * (self._clock.steady() - began))

    def _apart(self, operation: Operation, act: Callable[[], bool]) -> bool:
        """What `act` says. One endpoint's trouble leaves no other one unwatched, and what can't be watched does not go on."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - see above
            log.get().error("migration", endpoint=operation.name, outcome=type(error).__name__, exc_info=error)
            return False

    def _watch(self, operation: Operation, move: Move, now: float) -> bool:
        """Whether nothing speaks for taking it back."""
        why = alarm(self._store, operation, move, now)
        if why:
            self._take_back(operation, move, why, now)
        return not why

    def _take_back(self, operation: Operation, move: Move, why: str, now: float) -> None:
        planned = plan(self._catalogue, self._store, operation, back(operation, move.standing), now)
        if planned.expected[operation.name] != move.number:
            return  # another one was quicker
        if not planned.obstacles:
            self._make(planned, "rolled_back", why, now)
        elif self._clock.steady() >= self._told.get(operation.name, 0.0):
            self._told[operation.name] = self._clock.steady() + TELL
            self._events.happened("rollback_refused", _system(operation))
            log.get().error("migration", endpoint=operation.name, outcome="rollback refused", why=why, obstacles=planned.obstacles)

    def _move_on(self, operation: Operation, move: Move, now: float) -> bool:
        if move.standing.stage not in ("shadow", "canary"):
            return False
        planned = plan(self._catalogue, self._store, operation, next_standing(operation, move.standing), now)
        if planned.expected[operation.name] != move.number or planned.obstacles or waits(self._store, planned):
            return False
        self._make(planned, "promoted", "every gate of its file is met", now)
        return True

    def _make(self, planned: Plan, event: str, why: str, now: float) -> None:
        if carry_out(self._store, planned, NAME, why, now):
            self._events.happened(event, _system(planned.operation))
            names = [each.name for each in planned.together]
            self._note("act", who=NAME, what=event, endpoints=names, stage=str(planned.wanted), was=str(planned.was), why=why)
            log.get().warning("migration", endpoints=names, outcome=event, stage=str(planned.wanted), was=str(planned.was), why=why)


def _system(operation: Operation) -> str:
    assert operation.modern is not None  # or it is not watched
    return operation.modern.system
