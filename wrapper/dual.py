"""Writes while two systems hold the same records: which side gets what, carrying over what one lacks, and what people are told of it.

    legacy_only   legacy, always
    dual          the decided side first, whose answer is the caller's; what the other side lacks is carried over by the job worker
    modern_only   the decided side alone; what legacy lacks is owed to it until a person has it carried over

A leg (state/legs.py) is carried over under the same idempotency key as its write, in the order of the writes. What the side refuses, and
what nobody can tell, is left to people: the report names each, with the side that has it and the one that lacks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wrapper.operation import Catalogue, Operation, Side, Source, Stage, WritePolicy
from wrapper.problems import NoSuchThing, RequestError
from wrapper.state.legs import Leg, LegState
from wrapper.state.store import Store

ItemState = Literal["under way", "pending", "owed", "failed", "unknown"]


class NotPossible(RequestError):
    """What a person wants of a leg can't be done as it stands."""

    status = 409
    title = "This is not possible now"


@dataclass(frozen=True, slots=True)
class Item:
    """A write that `lacks` has not, or may not have. `has` is '' where that is not known either: the write's own outcome is unknown.
    `reference` names it in commands; `record` is the beginning of its key's digest: the same for all writes of one key. `since` is of
    the day."""

    endpoint: str
    reference: str
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


def leg_of(policy: WritePolicy, side: Side, stage: Stage, meant: Side) -> tuple[Side, LegState] | None:
    """The side that will lack a write done at `side`, and how it gets it. `meant` is the side by the stage alone: a kill switch, or a
    tester, may have had it done elsewhere."""
    if policy == "dual":
        return (other(side), "pending") if side == "modern" or stage in ("canary", "modern") else None
    return (other(side), "owed") if policy == "modern_only" and "modern" in (side, meant) else None


def other(side: Side) -> Side:
    return "modern" if side == "legacy" else "legacy"


def report(store: Store, family: str | None = None, limit: int = 1000) -> Report:
    """What one side has and the other has not, of one group or of all. Raises NotReady."""
    return Report(tuple(map(_item, store.open_legs(family, limit))), store.legs_by_state(family))


def retry(store: Store, catalogue: Catalogue, reference: str) -> None:
    """Have a refused or unknown leg carried over (again). Raises NoSuchThing, NotPossible where that could write twice, NotReady."""
    leg = _leg(store, reference)
    operation = catalogue.operations.get(leg.operation)
    source = None if operation is None else source_of(operation, leg.side)
    if source is None:
        raise NotPossible(f"{leg.operation} has no {leg.side} side in this catalogue")
    if leg.state == "unknown" and not repeatable(source):
        raise NotPossible(
            f"it is not known whether {leg.side} has this write, and it takes no idempotency key: look there, repair it, and settle it"
        )
    if leg.happened is not True:
        raise NotPossible("the write itself has an unknown outcome: look, repair what is missing, and settle it")
    if not store.pend_leg(leg.id):
        raise NotPossible(f"it is {leg.state}: only what was refused, or is unknown, can be tried again")


def write_owed(store: Store, family: str) -> int:
    """Have all that is owed carried over, in order, by the job worker; how many that are. Raises NotReady."""
    return store.pend_legs(family)


def settled(store: Store, reference: str, who: str, why: str) -> None:
    """A person has looked, and repaired by hand what was missing. Raises NoSuchThing, NotPossible, NotReady."""
    leg = _leg(store, reference)
    if leg.happened is False:
        raise NotPossible("the write is under way")
    if not store.close_leg(leg.id, f"{who}: {why}"):
        raise NotPossible(f"it is {leg.state}: nothing is open")


def source_of(operation: Operation, side: Side) -> Source | None:
    return operation.legacy if side == "legacy" else operation.modern


def repeatable(source: Source) -> bool:
    """Whether the back end takes an idempotency key: a write under the same key is done once, however often it is sent."""
    return bool(getattr(source.target, "idempotency", ""))


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
        leg.operation, leg.id, leg.family, leg.subject[:12], where, leg.side, state, leg.created, leg.attempts, why,
    )  # fmt: skip


_WHY = {"pending": "waits to be carried over", "owed": "waits for a person to have it carried over"}
