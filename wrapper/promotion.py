"""A move of an endpoint from one stage to another, planned and made: one way for people and for the pilot.

Moves upwards go one stage at a time, and past shadow only when every gate is met; moves downwards have no gates, but no key is given back
to legacy that lacks a write of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wrapper.migration.decide import Standing
from wrapper.migration.gates import Gate
from wrapper.operation import Catalogue, Operation
from wrapper.state.store import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """A move as it would be made now. `together` move in one transaction: the endpoint, or all writes of its group; `expected` are the
    numbers of their moves that it was judged by (0: never moved). `obstacles`: what stands in the way, in words, unmet gates with them.
    `gates`: all that were looked at, met or not, for moves past shadow. `notes`: what else a person should know."""

    operation: Operation
    together: tuple[Operation, ...]
    was: Standing
    wanted: Standing
    expected: Mapping[str, int]
    obstacles: tuple[str, ...]
    gates: tuple[Gate, ...] = ()
    notes: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict, repr=False)


def next_standing(operation: Operation, now: Standing) -> Standing:
    """One step up: by the file's steps in a canary, where consumers keep the shares of their own. `retired` is the last."""
    raise NotImplementedError


def plan(catalogue: Catalogue, store: Store, operation: Operation, wanted: Standing, now: float) -> Plan:
    """What it takes to move `operation` to `wanted`. `now` is the time of day. Raises NotReady when the store is away."""
    raise NotImplementedError


def carry_out(store: Store, plan: Plan, who: str, why: str, now: float, *, second: str = "", ticket: str = "") -> bool:
    """Make the move, with its signed report. False, and nothing was done, when something moved since it was planned or a write came to be
    owed: plan again. What stands in the way is for the caller to have looked at."""
    raise NotImplementedError


def refused_rollback(catalogue: Catalogue, store: Store, operation: Operation, now: float) -> str:
    """A line for people when the endpoint would go back by itself now and can't, since legacy lacks writes; or ""."""
    raise NotImplementedError
