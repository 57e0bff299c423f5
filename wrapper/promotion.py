"""A move of an endpoint from one stage to another, planned and made: one way for people and for the pilot.

Moves upwards go one stage at a time, and past shadow only when every gate is met. Moves downwards have no gates; but no key is given back
to legacy while it lacks a write that modern has. All writes of a group move together, since a key has one system of record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from wrapper import kill_file
from wrapper.migration import report
from wrapper.migration.consumption import consumers
from wrapper.migration.decide import LEGACY, Standing
from wrapper.migration.facts import Facts
from wrapper.migration.gates import Gate, anew, look, look_at_write, more
from wrapper.migration.moves import Move
from wrapper.migration.rollback import fires
from wrapper.migration.rules import rules
from wrapper.operation import STAGES, Catalogue, Operation, Stage
from wrapper.state.legs import LATE
from wrapper.state.store import Store
from wrapper.units import DAY, HOUR, instant, spell

MANY = 1_000_000
"""Writes: more than one side will ever lack."""
LINGERS = HOUR
"""Seconds for which a build that was seen is thought to be answering yet, in turns with a newer one; less where the file's period is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A move as it would be made now. `together` move in one transaction: the endpoint, or all writes of its group; `expected` are the
    numbers of their moves that it was judged by (0: never moved). `obstacles`: what stands in the way, in words, unmet gates with them.
    `gates`: all that were looked at, met or not, for moves past shadow. `notes`: what else a person should know. `facts`: of the present
    epoch, None when it has not begun. `gives_back`: whether keys return to legacy."""

    operation: Operation
    together: tuple[Operation, ...]
    was: Standing
    wanted: Standing
    expected: Mapping[str, int]
    obstacles: tuple[str, ...]
    gates: tuple[Gate, ...]
    notes: tuple[str, ...]
    facts: Facts | None
    gives_back: bool


def plan(catalogue: Catalogue, store: Store, operation: Operation, wanted: Standing, now: float) -> Plan:
    """What it takes to move `operation` to `wanted`. `now` is the time of day. Raises NotReady when the store is away."""
    moves, those = store.standings()[1], together(catalogue, operation)
    stands = [standing(moves, each) for each in those]
    was = max(stands, key=lambda each: (_height(each.stage), each.share))
    takes, gives_back = any(more(wanted, each) for each in stands), any(more(each, wanted) for each in stands)
    owed, (facts, notes) = store.owed(operation.group), _evidence(store, operation, now)
    gates = list(_gates(catalogue, store, moves, operation, wanted, facts, now)) if takes and operation.migration is not None else []
    obstacles = [f"it stands at {was} already"] if all(each == wanted for each in stands) else []
    if takes or _height(wanted.stage) > _height(was.stage):
        obstacles += _order(operation, was, wanted)
        obstacles += [f"{each.name}: {text}" for each in those for text in _terms(each, wanted, now)]
    obstacles += [str(gate) for gate in gates if not gate.met]
    if owed:
        (obstacles if gives_back else notes).append(
            f"{owed:,} write{'s are' if owed > 1 else ' is'} on the modern side only, and no key goes back to legacy before that is"
            f" reconciled: see `figway migrate reconcile {operation.group}`"
        )
    if wanted.stage == "retired":
        notes += [line for each in those for line in _farewell(store, each, now)]
    expected = {each.name: moves[each.name].number if each.name in moves else 0 for each in those}
    return Plan(operation, those, was, wanted, expected, tuple(obstacles), tuple(gates), tuple(notes), facts, gives_back)


def carry_out(store: Store, plan: Plan, who: str, why: str, now: float, *, second: str = "", ticket: str = "") -> bool:
    """Make the move, with its signed report. False, and nothing was done, when something moved since it was planned or a write came to be
    owed: plan again. What stands in the way is for the caller to have looked at."""
    document = _document(store, plan) | {"who": who, "second": second, "ticket": ticket, "why": why, "at": instant(now)}
    return store.move(
        list(plan.expected),
        plan.wanted,
        who,
        why,
        second=second,
        ticket=ticket,
        expected=plan.expected,
        report=report.signed(document, store.derived(report.PURPOSE)),
        unless_owed=plan.operation.group if plan.gives_back else None,
    )


def next_standing(operation: Operation, now: Standing) -> Standing:
    """One step up: by the file's steps in a canary, where consumers keep the shares of their own. `retired` is the last."""
    steps = operation.migration.steps if operation.migration else ()
    if now.stage == "canary":
        return next((Standing("canary", step, now.consumers) for step in steps if step > now.share), Standing("modern"))
    following: Stage = next((stage for stage in _ladder(operation) if _height(stage) > _height(now.stage)), "retired")
    return Standing("canary", steps[0], now.consumers) if following == "canary" and steps else Standing(following)


def back(operation: Operation, was: Standing) -> Standing:
    """Where it goes when it goes back by itself: a read is still compared there, a write is not asked twice. What a canary had said of
    single consumers is kept for the next one."""
    return Standing("legacy" if writes(operation) else "shadow", consumers=was.consumers)


def alarm(store: Store, operation: Operation, move: Move | None, now: float) -> str:
    """Why the file's rollback rule fires now, or "". It looks at what has been since the last move."""
    rule = operation.migration.roll_back if operation.migration else None
    if rule is None or move is None or move.standing.stage not in ("canary", "modern"):
        return ""
    return fires(rule, store.recent(operation.name, max(now - rule.within, move.at)))


def still_modern(store: Store, group: str | None) -> list[str]:
    """Lines for people who took endpoints back: records that legacy lacks writes of stay at modern, since reads follow the writes."""
    lacking = Counter(leg.family for leg in store.open_legs(group, MANY) if leg.side == "legacy")
    return [
        f"{number:,} write{'s' if number > 1 else ''} on modern alone or unknown: such records are still answered by modern,"
        f" see `figway migrate reconcile {name}`"
        for name, number in sorted(lacking.items())
    ]


def refused_rollback(catalogue: Catalogue, store: Store, operation: Operation, now: float) -> str:
    """A line for people when the endpoint would go back by itself now and can't, since legacy lacks writes; or ""."""
    move = store.standings()[1].get(operation.name)
    why = alarm(store, operation, move, now)
    obstacles = plan(catalogue, store, operation, back(operation, move.standing), now).obstacles if why and move is not None else ()
    return f"an automatic rollback was refused ({why}): {'; '.join(obstacles)}" if obstacles else ""


def waits(store: Store, planned: Plan) -> list[str]:
    """What an automatic promotion asks for beyond that: a person to begin, or to begin again what was taken back, unless there is evidence
    of something new; and a look at each step before the next."""
    operation, facts = planned.operation, planned.facts
    newest, before = [*store.moves(operation.name, 2), None, None][:2]
    rule = operation.migration.roll_back if operation.migration else None
    if newest is None or newest.standing.stage == "legacy":
        return ["a person begins: from legacy nothing moves by itself"]
    if kill_file.holds(kill_file.read(store.folder), operation.name):
        return ["this host's kill file holds it at legacy"]
    if rule is None:
        return ["its file does not say `roll_back_when`: what can't go back by itself does not go on by itself"]
    met = list[str]()
    if before is not None and more(before.standing, newest.standing) and (facts is None or facts.began <= newest.at):
        met.append(f"it was taken back {instant(newest.at)}: another build or other rules, or a person, begin anew")
    if not writes(operation) and (facts is None or facts.last <= newest.at):
        met.append("nothing was compared since the last move")
    served = store.recent(operation.name, newest.at).get("served:modern", 0)
    if newest.standing.stage == "canary" and served < rule.min_count:
        met.append(f"modern has answered {served:,.0f} of {rule.min_count:,} requests that this step takes")
    held = sorted(name for name, share in newest.standing.consumers.items() if share < 1)
    if planned.wanted.stage == "modern" and held:
        met.append(f"{', '.join(held)} are held below 100% by a person")
    return met


def standing(moves: Mapping[str, Move], operation: Operation) -> Standing:
    return moves[operation.name].standing if operation.name in moves else LEGACY


def together(catalogue: Catalogue, operation: Operation) -> tuple[Operation, ...]:
    """The endpoint, or where it is a write all writes of its group that have a modern side."""
    others = (each for each in catalogue.operations.values() if each.group == operation.group and writes(each) and writes(operation))
    return (operation, *(each for each in others if each.modern is not None and each.name != operation.name))


def writes(operation: Operation) -> bool:
    """Whether it changes something, and so can't be asked of both sides."""
    return operation.effect != "read"


def public_key(store: Store) -> bytes:
    """By which reports of this store are verified."""
    return report.public_key(store.derived(report.PURPOSE))


def _ladder(operation: Operation) -> tuple[Stage, ...]:
    return tuple(stage for stage in STAGES if stage != "shadow" or not writes(operation))


def _height(stage: Stage) -> int:
    return STAGES.index(stage)


def _order(operation: Operation, was: Standing, wanted: Standing) -> Iterator[str]:
    ladder = _ladder(operation)
    if wanted.stage not in ladder:
        yield "a write is never shadowed: from legacy it goes to canary"
        return
    following = next((stage for stage in ladder if _height(stage) > _height(was.stage)), was.stage)
    if _height(wanted.stage) > _height(following):
        yield f"one stage at a time: from {was.stage} it goes to {following}"


def _terms(operation: Operation, wanted: Standing, now: float) -> Iterator[str]:
    """What its file says against it."""
    terms = operation.migration
    if operation.modern is None:
        yield "it has no modern side"
    if terms is None:
        yield "its file has no `migration` block"
        return
    if _height(wanted.stage) > _height(terms.highest):
        yield f"its file's highest_stage is {terms.highest}"
    if _height(wanted.stage) <= _height("shadow"):
        return
    if writes(operation) and terms.writes == "legacy_only" and wanted.stage != "retired":
        yield "its file's `writes` is legacy_only"
    at = datetime.fromtimestamp(now, UTC)
    for begin, end in terms.freezes:
        if begin <= at < end:
            yield f"nothing moves on until {instant(end.timestamp())}: its file says freeze"


def _farewell(store: Store, operation: Operation, now: float) -> Iterator[str]:
    """What a person should know who ends it: until when it was promised, and who would notice."""
    sunset = operation.migration.sunset if operation.migration else None
    if sunset is None:
        yield f"{operation.name}: its file names no sunset"
    else:
        days = (sunset - datetime.fromtimestamp(now, UTC).date()).days
        yield f"{operation.name}: its sunset is {sunset}, " + (f"in {days} days" if days > 0 else f"{-days} days past" if days else "today")
    calls = {one.consumer: one.legacy_month + one.modern_month for one in consumers(store.consumers(operation.name), now)}
    told = ", ".join(f"{name} ({number:,})" for name, number in sorted(calls.items(), key=lambda one: -one[1]) if number)
    yield f"{operation.name}: called in the last 30 days by {told or 'nobody'}"


def _evidence(store: Store, operation: Operation, now: float) -> tuple[Facts | None, list[str]]:
    """What is known of the present build, text and rules, and why that is not more."""
    epochs = store.epochs(operation.name, 2)
    if not epochs or operation.migration is None:
        return None, []
    newest = epochs[0].epoch
    if (newest.catalogue, newest.rules) != (operation.hash, str(rules(operation.migration.compare))):
        return None, [
            "the endpoint's file or its rules were changed: evidence begins anew when the facade has been told (HUP) and compares again"
        ]
    old = [f"nothing was compared since {instant(epochs[0].last)}"] if epochs[0].last < now - DAY else []
    return epochs[0], [*old, *(anew(newest, each.epoch, epochs[0].began) for each in epochs[1:])]


def _gates(
    catalogue: Catalogue, store: Store, moves: Mapping[str, Move], operation: Operation, wanted: Standing, facts: Facts | None, now: float
) -> Iterator[Gate]:
    if not writes(operation):
        asked = operation.migration.gates if operation.migration is not None else None
        if asked is None:
            yield Gate("promote_when", False, "its file does not say it", "what is to be shown")
        else:
            yield from look(operation.name, facts, asked, now)
            yield from _by_turns(store, operation, facts, min(asked.period, LINGERS))
        return
    group = [each for each in catalogue.operations.values() if each.group == operation.group and each.modern and not writes(each)]
    states = store.legs_by_state(operation.group)
    late = sum(leg.state == "pending" and leg.created < now - LATE for leg in store.open_legs(operation.group))
    stuck = states.get("failed", 0) + states.get("unknown", 0) + late
    yield from look_at_write(stuck, {each.name: standing(moves, each) for each in group}, wanted)


def _by_turns(store: Store, operation: Operation, facts: Facts | None, span: float) -> Iterator[Gate]:
    """Where two builds answer, what the one has shown says nothing of the other, which answers callers too."""
    if facts is None:
        return
    here = facts.epoch
    for each in store.epochs(operation.name, 5):
        there = each.epoch
        other_build = there != here and replace(there, build=here.build) == here
        if other_build and each.last > max(facts.began, facts.last - span):
            told = f"{there.build or 'an unnamed one'} has answered too, until {instant(each.last)}"
            yield Gate("one build", False, told, f"only {here.build or 'the unnamed one'}", f"{spell(span)} after its last answer")


def _document(store: Store, plan: Plan) -> dict[str, object]:
    name = plan.operation.name
    return {
        "endpoint": name,
        "together": [each.name for each in plan.together],
        "group": plan.operation.group,
        "from": str(plan.was),
        "to": str(plan.wanted),
        "gates": [{"gate": g.name, "met": g.met, "there": g.there, "asked": g.asked} for g in plan.gates],
        "obstacles": list(plan.obstacles),
        "notes": list(plan.notes),
        "evidence": report.evidence(plan.facts) if plan.facts is not None else None,
        "legs": store.legs_by_state(plan.operation.group),
        "history": [
            {
                "number": m.number, "at": instant(m.at), "to": str(m.standing),
                "who": m.who, "second": m.second, "ticket": m.ticket, "why": m.why,
            }
            for m in store.moves(name, 20)
        ],
    }  # fmt: skip
