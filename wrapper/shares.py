"""What each worker may do to each system: numbers of the catalogue are for the whole installation, and a worker takes its part of them.

Leases divide the sessions of a 3270 system by what each worker needs just then; everything else is divided evenly, and the least is one.
Beyond that no system may hold all threads of a worker: of those that it admits at most ROOM in calls, and HELD with the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from adapters import registry
from adapters.blocks import seconds
from adapters.breaker import Rule
from adapters.guard import Limits, Own
from adapters.hours import Hours, parse
from wrapper.admission import RESERVED
from wrapper.operation import Catalogue, Operation, System
from wrapper.settings import Settings

ROOM, HELD = 2 / 3, 5 / 6


@dataclass(frozen=True, slots=True)
class Share:
    """Calls at once: of the whole installation, and of one worker, with `queue` more callers waiting there."""

    all: int
    each: int
    queue: int


def share(system: System, settings: Settings) -> Share:
    """One worker's part of a system."""
    most = registry.target(system.kind).calls(system.block)
    admitted = settings.threads - RESERVED
    each = max(min(part(most, settings) if divided(system) else most, int(admitted * ROOM)), 1)
    return Share(most, each, max(int(admitted * HELD) - each, 1))


def divided(system: System) -> bool:
    """Whether each worker has connections of its own; else leases say who may have one."""
    return "pool" in registry.target(system.kind).SYSTEM["properties"]


def part(whole: int, settings: Settings) -> int:
    """One worker's part of a number that is for all."""
    return max(whole // (settings.workers * settings.replicas), 1)


def block(system: System, resolved: Mapping[str, Any], settings: Settings) -> Mapping[str, Any]:
    """The system's block with this worker's part of its pool."""
    if not divided(system):
        return resolved
    return {**resolved, "pool": {**resolved.get("pool", {}), "max": share(system, settings).each}}


def limits(system: System, catalogue: Catalogue, settings: Settings) -> Limits:
    """All that this process may do to a system."""
    mine = share(system, settings)
    asking = [op for op in catalogue.operations.values() if any(s and s.system == system.name for s in (op.legacy, op.modern))]
    return Limits(mine.each, mine.queue, hours(system), {op.name: _own(op, settings) for op in asking})


def hours(system: System) -> Hours | None:
    """When it is open. Raises BadHours."""
    told = system.block.get("hours")
    return None if told is None else parse(told["open"], ZoneInfo(told["timezone"]))


def _own(operation: Operation, settings: Settings) -> Own:
    told = operation.limits
    places = part(told["concurrency"], settings) if "concurrency" in told else None
    return Own(operation.deadline, places, _rule(told["breaker"]) if "breaker" in told else None)


def _rule(told: Mapping[str, Any]) -> Rule:
    return Rule(told["open_after"], seconds(told["window"]), seconds(told["probe_every"]))


def table(catalogue: Catalogue, settings: Settings) -> list[str]:
    """For `figway check`: who may ask how much at once."""
    workers = settings.workers * settings.replicas
    rows = [("system", "calls at once", f"each of {workers} workers" if workers > 1 else "the one worker", "queue")]
    for name, system in catalogue.systems.items():
        one = share(system, settings)
        rows.append((name, str(one.all), str(one.each) + ("" if divided(system) else " (leases)"), str(one.queue)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
