"""Who acts on evidence by itself: takes an endpoint back when the last minutes were bad, and moves it on where its file says so.

What it may do, and all that it looks at, is in promotion.py and the same for people.
"""

from __future__ import annotations

from adapters.base import Events
from adapters.events import SILENT
from wrapper import log
from wrapper.operation import Catalogue, Operation
from wrapper.problems import NotReady
from wrapper.promotion import Plan, alarm, back, carry_out, next_standing, plan, waits
from wrapper.state.clock import Clock
from wrapper.state.stages import Move
from wrapper.state.store import Store

NAME = "figway"
LOOK, TELL = 5.0, 60.0
"""Seconds between two looks at what could be promoted, and between two words about the same refusal."""
REST = 20
"""Times as long as such a look has taken it waits for the next: there may be hundreds of endpoints."""


class Pilot:
    """Several may run, in several processes: what one has moved, another finds moved."""

    def __init__(self, catalogue: Catalogue, store: Store, clock: Clock, events: Events = SILENT) -> None:
        self._catalogue, self._store, self._clock, self._events = catalogue, store, clock, events
        self._watched = {name: op for name, op in catalogue.operations.items() if op.migration is not None and op.modern is not None}
        self._look_due = 0.0
        self._told: dict[str, float] = {}

    def turn(self) -> None:
        """Look at all endpoints: to be called every second. Raises NotReady when the store is away."""
        began = self._clock.steady()
        looks = began >= self._look_due
        for name, move in self._store.standings()[1].items() if self._watched else ():
            if (operation := self._watched.get(name)) is not None:
                try:
                    self._see(operation, move, looks)
                except NotReady:
                    raise
                except Exception as error:  # noqa: BLE001 - one endpoint's trouble leaves no other one unwatched
                    log.get().error("migration", endpoint=name, outcome=type(error).__name__, exc_info=error)
        if looks:
            self._look_due = began + max(LOOK, REST * (self._clock.steady() - began))

    def _see(self, operation: Operation, move: Move, looks: bool) -> None:
        now = self._clock.wall()
        why = alarm(self._store, operation, move, now)
        if why:
            self._take_back(operation, move, why, now)
        elif looks and operation.migration is not None and operation.migration.automatic:
            self._move_on(operation, move, now)

    def _take_back(self, operation: Operation, move: Move, why: str, now: float) -> None:
        planned = plan(self._catalogue, self._store, operation, back(operation), now)
        if planned.expected[operation.name] != move.number:
            return  # another one was quicker
        if not planned.obstacles:
            self._make(planned, "rolled_back", why, now)
        elif self._clock.steady() >= self._told.get(operation.name, 0.0):
            self._told[operation.name] = self._clock.steady() + TELL
            self._events.happened("rollback_refused", _system(operation))
            log.get().error("migration", endpoint=operation.name, outcome="rollback refused", why=why, obstacles=planned.obstacles)

    def _move_on(self, operation: Operation, move: Move, now: float) -> None:
        if move.standing.stage not in ("shadow", "canary"):
            return
        planned = plan(self._catalogue, self._store, operation, next_standing(operation, move.standing), now)
        if planned.expected[operation.name] == move.number and not planned.obstacles and not waits(self._store, planned):
            self._make(planned, "promoted", "every gate of its file is met", now)

    def _make(self, planned: Plan, event: str, why: str, now: float) -> None:
        if carry_out(self._store, planned, NAME, why, now):
            self._events.happened(event, _system(planned.operation))
            names = [each.name for each in planned.together]
            log.get().warning("migration", endpoints=names, outcome=event, stage=str(planned.wanted), was=str(planned.was), why=why)


def _system(operation: Operation) -> str:
    assert operation.modern is not None  # or it is not watched
    return operation.modern.system
