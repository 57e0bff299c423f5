"""Which side a request goes to: a pure function of where its group stands, its key, who asks, and what a tester wants.

A key is hashed with the group's name, so that all endpoints of one business entity send one customer to the same side, on every worker and
host; and a share that grows takes keys over and gives none back. Knows no store: whoever calls it says how things stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from wrapper.operation import PARTS, Operation, Side, Stage
from wrapper.units import percent


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a group stands now: run-time state, with a history, never in the file. Shares are of keys, 0 to 1, on the modern side.

    `consumers` stand for themselves in a canary, whatever the share is; a share that is no whole number of 1/PARTS is a ValueError.
    """

    stage: Stage
    share: Decimal = Decimal(0)
    consumers: Mapping[str, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, share in (("the share", self.share), *self.consumers.items()):
            if not 0 <= share <= 1 or share * PARTS % 1:
                raise ValueError(f"{name}: expected 0 to 100% in steps of 0.01%, met {share:%}")

    def __str__(self) -> str:
        """`canary 10%, claims-ui 100%`."""
        if self.stage != "canary":
            return self.stage
        shares = [("canary", self.share), *sorted(self.consumers.items())]
        return ", ".join(f"{name} {percent(share)}" for name, share in shares)


LEGACY = Standing("legacy")
"""Where each endpoint stands that was never moved."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The side that answers. `evidence`: what it does counts for or against a promotion; a tester's wish does not, nor what is
    before all comparison or after it."""

    side: Side
    evidence: bool = True


def key_of(operation: Operation, params: Mapping[str, Any]) -> str:
    """The sticky key of a request, "" where the endpoint has none."""
    return "" if operation.migration is None else str(params.get(operation.migration.key, ""))


def decide(standing: Standing, group: str, key: str, consumer: str, wanted: Side | None = None) -> Choice:
    """`wanted` is a tester's, who was found to be allowed; a retired side is not to be had any more."""
    if wanted is not None and standing.stage != "retired":
        return Choice(wanted, evidence=False)
    match standing.stage:
        case "legacy":
            return Choice("legacy", evidence=False)
        case "shadow":
            return Choice("legacy")
        case "canary":
            share = standing.consumers.get(consumer, standing.share)
            return Choice("modern" if part(group, key) < share * PARTS else "legacy")
        case "modern":
            return Choice("modern")
        case "retired":
            return Choice("modern", evidence=False)


def part(group: str, key: str) -> int:
    """The place of a key among PARTS equal ones, everywhere and for ever: a change of it would move customers."""
    digest = blake2b(f"{group}\n{key}".encode(), digest_size=8).digest()  # no group's name has a line's end
    return int.from_bytes(digest) % PARTS
