"""What a person looks at before an endpoint is moved, and after: where all of them stand, what is missing, what differed, what was decided.

For the command line and the admin API alike; JSON-ready data, or a RequestError in words. Nothing here changes anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import yaml

from adapters.blocks import instead
from wrapper import dual, kill_file, promotion
from wrapper.migrating import Office, endpoint, group, killed_here, proposed, shown, shown_move, shown_proposal
from wrapper.migration import burndown, consumption
from wrapper.migration.compare import HARMLESS
from wrapper.migration.decide import Standing
from wrapper.migration.moves import Move
from wrapper.migration.rules import rules
from wrapper.operation import STAGES, Operation
from wrapper.problems import NoSuchThing
from wrapper.units import iso

ALL = 1_000_000
"""Moves: more than there will ever be."""


def status(office: Office, name: str | None = None) -> dict[str, Any]:
    """Of one endpoint, or of all that migrate."""
    moves = office.store.standings()[1]
    wanted = [endpoint(office, name)] if name else [o for o in office.catalogue.operations.values() if o.migration is not None]
    held, there = kill_file.read(office.store.folder), office.catalogue.operations
    unknown = {name: instead(name, there) for name in held if name != kill_file.ALL and name not in there}
    return {
        "endpoints": [_status(office, operation, moves, held) for operation in wanted],
        "kill_file": {
            "file": str(office.store.folder / kill_file.NAME),
            "holds": {n: why for n, why in held.items() if n not in unknown},
            "unknown": unknown,
        },
    }


def history(office: Office, name: str | None = None, limit: int = 100) -> dict[str, Any]:
    """Moves, the newest first."""
    if name:
        endpoint(office, name)
    return {"moves": [shown_move(move) for move in office.store.moves(name, limit)]}


def samples(office: Office, name: str) -> dict[str, Any]:
    """Differences of the present evidence by kind, masked, each with the rule that would accept it."""
    endpoint(office, name)
    facts = office.store.facts(name)
    counts = {n.removeprefix("class:"): number for n, number in (facts.counts if facts else {}).items() if n.startswith("class:")}
    kinds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in sorted(counts, key=lambda kind: -counts[kind])}
    for at, sample in office.store.samples(name):
        kinds.setdefault(sample.kind, []).append({"at": iso(at), **sample.shown})
    return {
        "endpoint": name,
        "kinds": [{"kind": kind, "count": int(counts.get(kind, len(met))), "samples": met} for kind, met in kinds.items()],
    }


def proposed_rules(office: Office, name: str) -> dict[str, Any]:
    """The `compare` block that would accept what looks like noise, with the rules of the file in it; which of them is, a person says."""
    operation = endpoint(office, name)
    assert operation.migration is not None  # endpoint() has seen to it
    accepted = rules(operation.migration.compare)
    made, why = accepted, dict[str, str]()
    for _, sample in office.store.samples(name):
        text = sample.shown.get("rule")
        if text and sample.kind.split(" ", 2)[-1] in HARMLESS:
            made |= rules(yaml.safe_load(text)["compare"])
            why[sample.kind] = text
    note = "accepting a rule begins the evidence at zero; a business time or reference may look like noise, too"
    return {"endpoint": name, "compare": str(made), "new": made != accepted, "for": why, "note": note}


def reconcile(office: Office, name: str | None = None) -> dict[str, Any]:
    """Writes that one side has and the other has not, of one group or of all, the oldest first."""
    told = dual.report(office.store, group(office, name) if name else None)
    items = [{**asdict(item), "since": iso(item.since)} for item in told.items]
    return {"items": items, "counts": dict(told.counts)}


def report(office: Office, name: str, number: int | None = None) -> str:
    """The signed evidence report of a move: of that number, else the newest that has one."""
    endpoint(office, name)
    numbers = [move.number for move in office.store.moves(name)] if number is None else [number]
    text = next((text for n in numbers if (text := office.store.report(name, n)) is not None), None)
    if text is None:
        which = "no move" if number is None else f"no move {number}"
        raise NoSuchThing(f"{name} has {which} with an evidence report; moves past shadow have one")
    return text


def consumers(office: Office, name: str | None = None) -> list[consumption.Consumer]:
    """Who still calls."""
    if name:
        endpoint(office, name)
    return consumption.consumers(office.store.consumers(name), office.clock())


def burned_down(office: Office) -> burndown.Burndown:
    """How far the whole migration is; burndown_shown.py shows it."""
    store, moves = office.store, office.store.standings()[1]
    migrating = [o for o in office.catalogue.operations.values() if o.migration is not None]
    ahead = {o.name: _ahead(office, o, promotion.standing(moves, o))["missing"] for o in migrating}
    legs = Counter(leg.operation for leg in store.open_legs())
    known = burndown.Known(store.moves(limit=ALL), store.consumers(), legs, ahead, store.proposals())
    return burndown.burndown(office.catalogue.operations.values(), known, office.clock())


def _status(office: Office, operation: Operation, moves: Mapping[str, Move], held: Collection[str]) -> dict[str, Any]:
    assert operation.migration is not None
    now, move = promotion.standing(moves, operation), moves.get(operation.name)
    proposal = proposed(office, operation.name)
    by = {"since": iso(move.at), "who": move.who, "second": move.second, "ticket": move.ticket, "why": move.why} if move else {}
    return {
        "endpoint": operation.name, "group": operation.group, "effect": operation.effect, **shown(now),
        "highest": operation.migration.highest,
        **by, **_ahead(office, operation, now, proposal.standing if proposal else None),
        "proposal": shown_proposal(proposal) if proposal else None,
        "rollback_refused": promotion.refused_rollback(office.catalogue, office.store, operation, office.clock()),
        "held_here": kill_file.holds(held, operation.name),
    }  # fmt: skip


def _ahead(office: Office, operation: Operation, now: Standing, proposed: Standing | None = None) -> dict[str, Any]:
    """What the step that is `proposed`, else the next one, asks for."""
    highest = operation.migration.highest if operation.migration else "legacy"
    beyond = STAGES.index(now.stage) - STAGES.index(highest)
    if now.stage == "retired" or beyond >= 0:
        notes = [f"it stands beyond its file's highest_stage, {highest}"] if beyond > 0 else []
        return {"next": None, "gates": [], "missing": [], "notes": notes}
    following = proposed or promotion.next_standing(operation, now)
    planned = promotion.plan(office.catalogue, office.store, operation, following, office.clock())
    gates = [asdict(gate) for gate in planned.gates]
    return {
        "next": str(following),
        "gates": gates,
        "missing": [*planned.obstacles, *killed_here(office, operation)],
        "notes": list(planned.notes),
    }
