"""Writes while two systems hold the same records: which side gets what, carrying over what one lacks, and what people are told of it.

    legacy_only   legacy, always
    dual          the decided side first, whose answer is the caller's; what the other side lacks is carried over by the job worker, from
                  the endpoint's first move on and wherever it goes back to
    modern_only   the decided side alone; what legacy lacks is owed to it until a person has it carried over

A leg (state/legs.py) is carried over under the same idempotency key as its write, in the order of the writes. What the side refuses, and
what nobody can tell, is left to people: the report names each, with the side that has it and the one that lacks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from wrapper.migration.decide import key_of
from wrapper.operation import Catalogue, Operation, Side, WritePolicy, other
from wrapper.problems import InFlight, NoSuchThing, NotPossible, NotReady
from wrapper.request import Request
from wrapper.standings import Standings
from wrapper.state.legs import Hindrance, Leg, LegState
from wrapper.state.records import WriteId
from wrapper.state.store import Store
from wrapper.traffic import written
from wrapper.writes import repeatable

ItemState = Literal["under way", "pending", "owed", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Item:
    """A write that `lacks` has not, or may not have. `has` is '' where that is not known either: the write's own outcome is unknown.
    `reference` names it in commands, `caller` and `key` are who sent it under which Idempotency-Key; `record` is the beginning of its
    record's digest: the same for all writes of one. `since` is of the day."""

    endpoint: str
    reference: str
    caller: str
    key: str
    family: str
    record: str
    has: Side | Literal[""]
    lacks: Side
    state: ItemState
    since: float
    attempts: int
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """All items, the oldest first, at most as many as were asked for; `counts` are of all legs by state, the closed ones too."""

    items: tuple[Item, ...]
    counts: Mapping[str, int]


class Dual:
    """Notes, before a write's first act, what the other side will lack."""

    def __init__(self, catalogue: Catalogue, store: Store, standings: Standings) -> None:
        self._store, self._standings = store, standings
        self._written = written(catalogue)

    def begin(self, write: WriteId, operation: Operation, side: Side, request: Request, params: Mapping[str, Any]) -> str:
        """The key under which both sides know the write, '' where only one ever gets it. Raises InFlight while another write of the
        same record is under way, and NotReady when the side must get an earlier one first, or the store is away: then there is no act."""
        if operation.migration is None or operation.group not in self._written:
            return ""
        key, lacks = key_of(operation, params), self._lacks(operation, operation.migration.writes, side)
        if lacks is None:
            hindrance: Hindrance = "behind" if side in self._store.lacking(operation.group, key) else ""
        else:
            given = {"given": asdict(request.given), "trace": request.trace}
            hindrance = self._store.add_leg(write, operation.group, key, *lacks, given)
        if hindrance == "under way":
            raise InFlight("another write of the same record is under way; ask again when it has ended", headers={"Retry-After": "1"})
        if hindrance == "behind":
            raise NotReady(f"{side} must get earlier writes of this record first", headers={"Retry-After": "5"})
        return self._store.idempotency(write)

    def _lacks(self, operation: Operation, policy: WritePolicy, side: Side) -> tuple[Side, LegState] | None:
        if operation.modern is None:
            return None
        begun = any(self._standings.placed(name) is not None for name in self._written[operation.group])
        return leg_of(policy, side, begun)


def leg_of(policy: WritePolicy, side: Side, begun: bool) -> tuple[Side, LegState] | None:
    """The side that will lack a write done at `side`, and how it gets it. A group of which anything has `begun` to move notes what either
    side lacks from then on, wherever it goes back to: its reads may be at modern already, and its evidence holds when it comes again."""
    if policy == "legacy_only" or (side == "legacy" and not begun):
        return None
    return other(side), "pending" if policy == "dual" else "owed"


def report(store: Store, family: str | None = None, limit: int = 1000) -> Report:
    """What one side has and the other has not, of one group or of all. Raises NotReady."""
    return Report(tuple(map(_item, store.open_legs(family, limit))), store.legs_by_state(family))


def retry(store: Store, catalogue: Catalogue, reference: str, who: str) -> None:
    """Have a refused or unknown leg carried over (again). Raises NoSuchThing, NotPossible where that could write twice, NotReady."""
    leg = _leg(store, reference)
    operation = catalogue.operations.get(leg.operation)
    source = None if operation is None else operation.source(leg.side)
    if source is None:
        raise NotPossible(f"{leg.operation} has no {leg.side} side in this catalogue")
    if leg.state == "unknown" and source.ask is None and not repeatable(source):
        raise NotPossible(
            f"nobody knows whether {leg.side} has it, and {leg.side} can't be asked and takes no key: look there, repair it, and settle it"
        )
    if leg.happened is not True:
        raise NotPossible("the write itself has an unknown outcome: look, repair what is missing, and settle it")
    if not store.pend_leg(leg.id, f"; {who} has it carried over again"):
        raise NotPossible(f"it is {leg.state}: only what was refused, or is unknown, can be tried again")


def write_owed(store: Store, family: str, who: str) -> int:
    """Have all that is owed carried over, in order, by the job worker; how many that are. Raises NotReady."""
    return store.pend_legs(family, f"; {who} has it carried over")


def settle(store: Store, reference: str, who: str, why: str) -> None:
    """A person has looked, and repaired by hand what was missing. Raises NoSuchThing, NotPossible, NotReady."""
    leg = _leg(store, reference)
    if leg.happened is False:
        raise NotPossible("the write is under way")
    if not store.close_leg(leg.id, f"{who}: {why}"):
        raise NotPossible(f"it is {leg.state}: nothing is open")


def _leg(store: Store, reference: str) -> Leg:
    leg = store.leg(reference)
    if leg is None:
        raise NoSuchThing(f"there is no item {reference}")
    return leg


def _item(leg: Leg) -> Item:
    has = other(leg.side)
    where: Side | Literal[""] = has if leg.happened else ""
    state: ItemState = "under way" if leg.happened is False else "unknown" if leg.happened is None else leg.state  # type: ignore[assignment]
    why = leg.detail or _WHY.get(leg.state, "")
    if leg.happened is None:
        why = f"nobody knows whether {has} has done it; it was not carried over"
    return Item(
        leg.operation, leg.id, leg.write.caller, leg.write.key, leg.family, leg.subject[:12], where, leg.side, state, leg.created,
        leg.attempts, why,
    )  # fmt: skip


_WHY = {"pending": "waits to be carried over", "owed": "waits for a person to have it carried over"}
