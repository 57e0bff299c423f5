"""What a person does to an endpoint's stage: promote, approve, withdraw, roll back. One set of functions for the command line and the
admin API; each returns JSON-ready data, or raises a RequestError that says in words what stands in the way.

Past shadow a promotion is a proposal until somebody else approves it; what takes traffic away from modern is done by one person at once.
Nothing here knows click or Flask. The kill switch is in killing.py, and what is only looked at in overview.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec

from wrapper import dual, kill_file, promotion
from wrapper.audit import acts
from wrapper.migration.decide import Standing
from wrapper.migration.moves import Move, Proposal
from wrapper.operation import STAGES, Catalogue, Operation, Stage
from wrapper.problems import Invalid, NoSuchThing, NotPossible
from wrapper.state.store import Store
from wrapper.units import iso, percent

P = ParamSpec("P")
OPEN_FOR = 24 * 3600.0
"""Seconds that a proposal waits for the second person."""
MOST = 500
"""Characters of a reason."""
_SHARE = re.compile(r"\d{1,3}(\.\d{1,2})?%", re.ASCII)
_WHO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_TICKET = re.compile(r"[A-Za-z0-9][!-~]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Office:
    """Where stages are looked at and changed."""

    catalogue: Catalogue
    store: Store
    clock: Callable[[], float] = time.time
    act: Callable[..., AbstractContextManager[object]] | None = None
    """Puts on the audit trail what is done; without it a writer of its own does, beside the store."""


@dataclass(frozen=True, slots=True)
class Said:
    """Who wants something, on which ticket and why. Raises Invalid: it is kept and shown for as long as the history is."""

    who: str
    ticket: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        if not _WHO.fullmatch(self.who):
            raise Invalid(f"the person must be named like alice or alice@example.com, met {self.who!r}")
        if self.ticket and not _TICKET.fullmatch(self.ticket):
            raise Invalid(f"a ticket must be like CHG-1234, met {self.ticket!r}")
        if len(self.why) > MOST or not self.why.isprintable():
            raise Invalid(f"the reason must be one line of at most {MOST} characters")


@dataclass(frozen=True, slots=True)
class Wish:
    """Where an endpoint is to stand; None is not said."""

    to: Stage | None = None
    share: Decimal | None = None
    consumers: Mapping[str, Decimal] | None = None


def wish(to: str | None = None, share: str | None = None, consumers: Mapping[str, str] | None = None) -> Wish:
    """Read as people write it: `10%`. Raises Invalid."""
    stage = next((s for s in STAGES if s == to), None)
    if to is not None and stage is None:
        raise Invalid(f"a stage is one of {', '.join(STAGES)}, met {to!r}")
    shares = {name: _share(text, f"the share of {name}") for name, text in consumers.items()} if consumers else None
    return Wish(stage, None if share is None else _share(share, "the share"), shares)


def _recorded(act: Callable[Concatenate[Office, str, P], dict[str, Any]]) -> Callable[Concatenate[Office, str, P], dict[str, Any]]:
    """What people do to `about` is on record before it is done, and how it ended; who it is they say themselves, or in a Said."""

    @wraps(act)
    def on_record(office: Office, about: str, /, *given: P.args, **more: P.kwargs) -> dict[str, Any]:
        person = next((each for each in (*given, *more.values()) if isinstance(each, Said)), None) or Said(str(given[-1]))
        begun = office.act or partial(acts.alone, office.store.folder / "audit")
        with begun(person.who, f"migrate {act.__name__}", about=about, ticket=person.ticket, why=person.why):
            return act(office, about, *given, **more)

    return on_record


@_recorded
def promote(office: Office, name: str, wanted: Wish, said: Said) -> dict[str, Any]:
    """From legacy to shadow at once; further as a proposal, if nothing stands in the way."""
    operation = endpoint(office, name)
    planned = _planned(office, operation, _forward(operation, _now(office, operation), wanted))
    if planned.wanted.stage == "retired":
        reasoned(said)
    if planned.wanted.stage == "shadow":
        return _moved(office, planned, said)
    if not said.ticket:
        raise Invalid("past shadow a ticket is needed: it is what the second person looks at")
    for each in planned.together:  # who has looked at a proposal approves that one, and no other that came in its place
        if (waits := proposed(office, each.name)) is not None:
            ahead = f"{waits.standing} on {waits.ticket} by {waits.who}"
            raise NotPossible(f"{name} has a proposal already", [f"{ahead}: approve it, or `figway migrate withdraw {each.name}`"])
    proposal = Proposal(name, office.clock(), planned.wanted, said.who, said.ticket, said.why)
    office.store.propose(proposal)
    others = [each.name for each in planned.together if each.name != name]
    return {
        "endpoint": name, "proposed": shown_proposal(proposal), "with": others, "gates": [str(gate) for gate in planned.gates],
        "notes": list(planned.notes),
    }  # fmt: skip


@_recorded
def approve(office: Office, name: str, who: str) -> dict[str, Any]:
    """The second person's word: what stands in the way is looked at again, and the endpoint moves with its signed report."""
    operation, proposal = endpoint(office, name), proposed(office, name)
    if proposal is None:
        raise NoSuchThing(f"{name} has no proposal that waits; `figway migrate promote` makes one, and it waits for 24 hours")
    if Said(who).who.casefold() == proposal.who.casefold():
        raise NotPossible(f"{name} can't be approved by {who}", ["who proposed a move can't approve it: another person must"])
    planned = _planned(office, operation, proposal.standing)
    return _moved(office, planned, Said(proposal.who, proposal.ticket, proposal.why), second=who)


@_recorded
def withdraw(office: Office, name: str, said: Said) -> dict[str, Any]:
    """Nobody can approve it any more."""
    endpoint(office, name)
    if not office.store.withdraw(name):
        raise NoSuchThing(f"{name} has no proposal that waits")
    return {"endpoint": name, "withdrawn": True, "who": said.who}


@_recorded
def rollback(office: Office, name: str, to: Stage | None, said: Said, accept_loss: str = "") -> dict[str, Any]:
    """Back to shadow, a write to legacy, what is retired to modern: by one person, at once, without gates. NotPossible while legacy lacks
    writes that modern has, unless their loss is accepted on a ticket."""
    operation = endpoint(office, name)
    now = _now(office, operation)
    reasoned(said)
    wanted = Standing(to) if to else Standing("modern") if now.stage == "retired" else promotion.back(operation, now)
    if STAGES.index(wanted.stage) >= STAGES.index(now.stage):
        raise NotPossible(f"{name} can't be rolled back to {wanted}", [f"it stands at {now}"])
    planned = promotion.plan(office.catalogue, office.store, operation, wanted, office.clock())
    if not accept_loss:
        return _back(office, _possible(planned), said)
    accepted = f"{said.why} (accepted: {'; '.join(planned.obstacles) or 'nothing is lost'})"[:MOST]
    return _back(office, replace(planned, gives_back=False), Said(said.who, accept_loss, accepted))


@_recorded
def retry(office: Office, reference: str, who: str) -> dict[str, Any]:
    """Have a write that one side refused, or may lack, carried over again."""
    dual.retry(office.store, office.catalogue, reference, who)
    return {"reference": reference, "done": "it is carried over (again) by the job worker"}


@_recorded
def settle(office: Office, reference: str, said: Said) -> dict[str, Any]:
    """A person has looked at both sides, and repaired what was missing."""
    reasoned(said)
    dual.settle(office.store, reference, said.who, said.why)
    return {"reference": reference, "done": f"settled by {said.who}"}


@_recorded
def write_owed(office: Office, name: str, who: str) -> dict[str, Any]:
    """Have all that legacy lacks of a group carried over to it."""
    return {"group": name, "writes": dual.write_owed(office.store, group(office, name), who)}


def group(office: Office, name: str) -> str:
    """One that there is. Raises NoSuchThing."""
    groups = sorted({o.group for o in office.catalogue.operations.values() if o.migration is not None})
    if name not in groups:
        raise NoSuchThing(f"there is no group {name}; there are {', '.join(groups) or 'none'}")
    return name


def endpoint(office: Office, name: str) -> Operation:
    """One that migrates. Raises NoSuchThing."""
    operation = office.catalogue.operations.get(name)
    if operation is None:
        raise NoSuchThing(f"there is no endpoint {name}; `figway routes` lists them")
    if operation.migration is None:
        raise NoSuchThing(f"{name} does not migrate: its file has no `migration` block")
    return operation


def with_others(catalogue: Catalogue, name: str) -> list[str]:
    """The endpoint and those that move with it. Raises NoSuchThing."""
    if name not in catalogue.operations:
        raise NoSuchThing(f"there is no endpoint {name}; `figway routes` lists them")
    return [each.name for each in promotion.together(catalogue, catalogue.operations[name])]


def killed_here(office: Office, operation: Operation) -> list[str]:
    """What this host's kill file has against a promotion."""
    there = kill_file.holds(kill_file.read(office.store.folder), operation.name)
    return ["this host's kill file holds it at legacy: `figway migrate unkill` first"] if there else []


def proposed(office: Office, name: str) -> Proposal | None:
    """The proposal that waits for a second person, if it has not ended."""
    proposal = office.store.proposal(name)
    return proposal if proposal is not None and office.clock() < proposal.at + OPEN_FOR else None


def shown(standing: Standing) -> dict[str, Any]:
    canary = standing.stage == "canary"
    shares = {"share": percent(standing.share), "consumers": {n: percent(s) for n, s in standing.consumers.items()}} if canary else {}
    return {"stage": standing.stage, **shares}


def shown_move(move: Move) -> dict[str, Any]:
    return {
        "endpoint": move.endpoint, "number": move.number, "at": iso(move.at), **shown(move.standing), "who": move.who,
        "second": move.second, "ticket": move.ticket, "why": move.why,
    }  # fmt: skip


def shown_proposal(proposal: Proposal) -> dict[str, Any]:
    return {
        **shown(proposal.standing), "who": proposal.who, "ticket": proposal.ticket, "why": proposal.why, "at": iso(proposal.at),
        "until": iso(proposal.at + OPEN_FOR),
    }  # fmt: skip


def _share(text: str, what: str) -> Decimal:
    share = Decimal(text.removesuffix("%")) / 100 if _SHARE.fullmatch(text) else Decimal(2)
    if share > 1:
        raise Invalid(f"{what} must be like 10% or 0.5%, at most 100%, met {text!r}")
    return share


def reasoned(said: Said) -> None:
    if not said.why.strip():
        raise Invalid("say why: it is what the history will show")


def _forward(operation: Operation, now: Standing, wanted: Wish) -> Standing:
    """What the wish means from here: the next step unless it says more. What is not said of a canary stays as it is."""
    shares = wanted.share is not None or wanted.consumers is not None
    to = wanted.to or ("canary" if shares else None)
    if shares and to != "canary":
        raise Invalid(f"a share belongs to a canary: at {to} there is none")
    following = promotion.next_standing(operation, now)
    if to is None or (to == following.stage and not shares):
        return following
    if STAGES.index(to) < STAGES.index(now.stage):
        raise NotPossible(f"{operation.name} can't be promoted to {to}", [f"it stands at {now}: `figway migrate rollback` goes back"])
    if to != "canary":
        return Standing(to)
    kept = now if now.stage == "canary" else Standing("canary", consumers=now.consumers)
    return Standing(
        "canary",
        kept.share if wanted.share is None else wanted.share,
        kept.consumers if wanted.consumers is None else wanted.consumers,
    )


def _planned(office: Office, operation: Operation, wanted: Standing) -> promotion.Plan:
    """The move upwards, when nothing stands in its way. Raises NotPossible with all that does."""
    return _possible(promotion.plan(office.catalogue, office.store, operation, wanted, office.clock()), killed_here(office, operation))


def _possible(planned: promotion.Plan, more: Sequence[str] = ()) -> promotion.Plan:
    """Raises NotPossible with all that stands in its way, and with what `more` does."""
    if reasons := [*planned.obstacles, *more]:
        raise NotPossible(f"{planned.operation.name} can't go to {planned.wanted} now", reasons)
    return planned


def _back(office: Office, planned: promotion.Plan, said: Said) -> dict[str, Any]:
    moved = _moved(office, planned, said)
    return {**moved, "notes": [*moved["notes"], *promotion.still_modern(office.store, planned.operation.group)]}


def _now(office: Office, operation: Operation) -> Standing:
    return promotion.standing(office.store.standings()[1], operation)


def _moved(office: Office, planned: promotion.Plan, said: Said, second: str = "") -> dict[str, Any]:
    if not promotion.carry_out(office.store, planned, said.who, said.why, office.clock(), second=second, ticket=said.ticket):
        changed = "somebody else has moved it, or a write came to be owed, while it was looked at: look again"
        raise NotPossible("the move was not made", [changed])
    return {
        "endpoint": planned.operation.name, "moved": [each.name for each in planned.together], "from": shown(planned.was),
        **shown(planned.wanted), "who": said.who, "second": second, "ticket": said.ticket, "why": said.why, "notes": list(planned.notes),
    }  # fmt: skip
