"""Which side a request goes to now, and what came of it: the standing of its endpoint, and the writes that one side lacks.

    stage, share, consumer, tester    decide.py, by the standing that this process knows (standings.py)
    a write that one side lacks       reads of its key go to the other side, whatever the share says; where that can't be, 503

What was answered is counted (ledger.py) and handed on for comparison (shadow.py). Nothing here waits, but for the store where a group's
writes go to one side first.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from wrapper import subjects
from wrapper.ledger import Ledger
from wrapper.migration.asked import Asked, comparable
from wrapper.migration.compare import Failure, Said
from wrapper.migration.decide import Choice, decide, key_of
from wrapper.operation import Catalogue, Operation, Side, other
from wrapper.policy.keys import need
from wrapper.problems import NoSuchThing, NotReady
from wrapper.request import Request, Terms
from wrapper.rows import Rows
from wrapper.standings import Standings

TESTER = "migration:test"
"""The scope of callers whose `Figway-Side` is heeded."""


class Legs(Protocol):
    """Writes that one side has and the other has not (the state store). Raises NotReady."""

    def lacking(self, family: str, key: str) -> frozenset[Side]: ...


class Traffic:
    """Thread-safe."""

    def __init__(self, catalogue: Catalogue, standings: Standings, legs: Legs, ledger: Ledger) -> None:
        self._standings, self._legs, self._ledger = standings, legs, ledger
        self._written = written(catalogue)

    def choose(self, operation: Operation, params: Mapping[str, Any], terms: Terms) -> Choice:
        """The side to ask. Raises NotReady, or NoSuchThing for a side that there is not."""
        if operation.modern is None or operation.migration is None or (operation.legacy is None and terms.wanted is None):
            return self._only(operation, terms)
        if operation.effect != "read" and operation.migration.writes == "legacy_only":
            return Choice("legacy", evidence=False)
        key = key_of(operation, params)
        choice = decide(self._standings.of(operation.name), operation.group, key, terms.consumer, terms.wanted)
        if operation.group in self._written and terms.wanted is None:
            return self._following(operation, key, choice)
        return choice

    def lacking(self, operation: Operation, params: Mapping[str, Any]) -> frozenset[Side]:
        """The sides that lack a write of what these parameters are about. Raises NotReady."""
        return self._legs.lacking(operation.group, key_of(operation, params)) if operation.group in self._written else frozenset()

    def answered(self, operation: Operation, choice: Choice, params: Mapping[str, Any], terms: Terms, began: float, said: Said) -> None:
        """What came of asking, which began then (monotonic seconds): counted, and handed on for comparison. Asks nobody: a write may have
        happened by now."""
        seconds = time.monotonic() - began
        kept = isinstance(said, Rows) and said.age is not None
        status = said.status if isinstance(said, Failure) else 200
        failed = status >= 500 or (isinstance(said, Rows) and said.stale)  # stale rows are served because the back end is down
        if terms.wanted is None and terms.consumer:  # no tester, and nobody of ours
            counts = choice.evidence and (failed or not kept)  # what was kept says nothing of how the side does now
            self._ledger.served(operation, terms.consumer, choice.side, 0.0 if kept else seconds, failed, counts)
        if choice.evidence and not kept and comparable(operation) and not (choice.side == "legacy" and status in (503, 504)):
            about = tuple(dict.fromkeys((*terms.subjects, *subjects.of(operation, params, terms.tenant))))
            terms.asked.append(Asked(operation, choice.side, params, said, seconds, terms.trace, about))

    def _only(self, operation: Operation, terms: Terms) -> Choice:
        side: Side = terms.wanted or ("legacy" if operation.legacy is not None else "modern")
        if operation.source(side) is None:
            raise NoSuchThing(f"{operation.name} has no {side} side")
        return Choice(side, evidence=False)

    def _following(self, operation: Operation, key: str, choice: Choice) -> Choice:
        """Reads follow the writes, and so do writes: what a side lacks is never shown as the truth, nor built on."""
        try:
            lacking = self._legs.lacking(operation.group, key)
        except NotReady:
            if any(self._standings.placed(name) is not None for name in self._written[operation.group]):
                raise
            return choice  # none of the group was ever moved: legacy has all of its writes
        if choice.side not in lacking:
            return choice
        following = other(choice.side)
        if following in lacking or (following == "modern" and self._standings.killed(operation.name)):
            raise NotReady(
                "this record was changed on a side that can't be asked now: it is shown again when the change is on both",
                headers={"Retry-After": "5"},
            )
        return replace(choice, side=following, evidence=False)


def written(catalogue: Catalogue) -> Mapping[str, Sequence[str]]:
    """The groups whose writes may go to modern, each with its endpoints that move."""
    moving = [op for op in catalogue.operations.values() if op.migration is not None and op.modern is not None]
    groups = {op.group for op in moving if op.migration is not None and op.migration.writes != "legacy_only"}
    return {group: [op.name for op in moving if op.group == group] for group in groups}


def wanted(request: Request) -> Side | None:
    """The side that a tester wants. Raises Forbidden."""
    if request.wanted is not None:
        need(request.caller, TESTER)
    return request.wanted
