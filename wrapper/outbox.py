"""The outbox: what one side of a write lacks is carried over by the job worker, as a write of its own through the same machinery.

    done           the side has it now
    a refusal      `failed`: people look at it, and later writes of that record wait
    unavailable    tried again, later and later; so it is outside of the hours, and while a kill switch keeps modern out
    unknown        sent again under the same idempotency key where the side takes one; else settled by asking, where that can be

The reservation of that write is the claim: nobody else carries the leg meanwhile, and a death is settled like that of any other write.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from wrapper import log
from wrapper.operation import Operation, Side, Source
from wrapper.problems import Invalid, NoSuchThing, NotReady, RequestError
from wrapper.request import Answer, Given, Terms
from wrapper.service import Service
from wrapper.settle import GRACE
from wrapper.state.clock import me
from wrapper.state.legs import LEG, Leg, LegState
from wrapper.state.records import WriteId
from wrapper.state.store import Store
from wrapper.writes import Write, repeatable

FIRST, LONGEST = 0.5, 60.0  # seconds until a leg is tried again: twice as many each time
UNKNOWN = "its outcome is unknown"


class Outbox:
    """Used by one thread for each side: one that stalls does not hold the other's legs."""

    def __init__(self, service: Service, store: Store) -> None:
        self._service, self._store = service, store

    def turn(self, side: Side) -> bool:
        """One attempt for one of the legs to this side that are due. False when there was none, or it must be tried again: then the others
        had better wait a little too."""
        return any(self._attempt(leg) for leg in self._store.due_legs(side, 1))

    def _attempt(self, leg: Leg) -> bool:
        """Whether that was the end of it, good or bad."""
        operation, kept = self._service.catalogue.operations.get(leg.operation), self._store.leg_given(leg.id)
        own = WriteId(LEG, leg.operation, leg.id, f"{me()}{secrets.token_hex(4)}")
        source = None if operation is None else operation.source(leg.side)
        noted = source is not None and (source.ask is not None or repeatable(source))
        seconds = GRACE if operation is None else GRACE + operation.deadline
        if self._store.reserve(own, kept, seconds, noted).state != "new":
            return False  # somebody else was quicker
        outcome, state = "done", None
        try:
            with self._service.writes.reserved(own) as write:
                if not self._store.try_leg(leg.id, min(FIRST * 2**leg.attempts, LONGEST)):
                    raise NotReady("it is not pending any more")
                self._act(operation, source, leg, kept, write)
        except (AdapterError, RequestError) as error:
            outcome, state = judged(leg, error)
            self._store.explain_leg(leg.id, outcome, state)
        tell = log.get().info if outcome == "done" else log.get().warning
        tell("leg", id=leg.id, operation=leg.operation, side=leg.side, outcome=outcome, request_id=kept.get("trace", ""))
        return outcome == "done" or state is not None

    def _act(self, operation: Operation | None, source: Source | None, leg: Leg, kept: Mapping[str, Any], write: Write) -> None:
        if operation is None or source is None:
            raise NoSuchThing("the catalogue does not have this side of the endpoint now")
        if leg.side == "modern" and self._service.standings.killed(operation.name):
            raise NotReady("a kill switch keeps modern out")
        given = Given(**kept["given"])
        params = self._service.load(operation, given)
        terms = Terms(time.monotonic() + operation.deadline, kept["trace"], key=self._store.idempotency(leg.write))
        intent = self._service.settling.intent(operation, leg.side, given, params, terms)
        if not (leg.detail and self._service.settling.shows(operation, leg.side, params, intent)):
            try:
                with self._service.audit.act("figway", "carry over", op=operation.name, side=leg.side, leg=leg.id, request=kept["trace"]):
                    self._service.fetch(operation, leg.side, params, replace(terms, acting=partial(write.act, intent)))
            except OutcomeUnknown as error:
                if repeatable(source):
                    raise Unavailable(UNKNOWN) from error
                raise
        write.done(Answer(200, {"data": None, "score": None, "meta": {}}))


def judged(leg: Leg, error: AdapterError | RequestError) -> tuple[str, LegState | None]:
    """Why the leg is open yet, without any value of it, and what it is then, where that does not follow from its write. What was sent
    before, nobody knows with what outcome, and is refused now, may be there all the same."""
    if isinstance(error, OutcomeUnknown) or (isinstance(error, Unavailable) and error.detail == UNKNOWN):
        return UNKNOWN, None
    refused = isinstance(error, Invalid) or (isinstance(error, AdapterError) and 400 <= error.status < 500)
    why = f"{type(error).__name__} {error.status}"
    if leg.detail.startswith(UNKNOWN):
        return f"{UNKNOWN}; {why}", "unknown" if refused else None
    return why, "failed" if refused else None
