"""Decisions about people that a model's score makes: each is on record, with its reasons, before anybody hears of it (GDPR 22).

An endpoint whose `scoring` says `decides` keeps them: no record, no score. The person's side asks for a review with their own words; a
reviewer, never who asked, upholds or overturns it and says why. A caller sees the reasons of its own decisions; whoever reviews sees the
values too. Both belong to one tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from scoring.errors import ScoringError
from wrapper.operation import Operation, Scoring
from wrapper.policy.keys import Caller, need
from wrapper.problems import Forbidden, Invalid, NoSuchThing, NotPossible, NotReady
from wrapper.request import Terms
from wrapper.state.records import Decision, Review
from wrapper.state.store import Store
from wrapper.units import iso, moment

REVIEW = "decisions:review"
LONGEST = 4000  # characters of a person's words
Explained = tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]
"""Features, and reasons, the strongest first."""
_ENDS: tuple[Review, ...] = ("upheld", "overturned")


def outcome(spec: Scoring, score: float) -> str:
    """The outcome whose band the score is in: bands are in order, each from its score on."""
    return [name for name, least in spec.decides if score >= least][-1]


class Decisions:
    """Thread-safe. `act` puts what people do on the audit trail before it is done; `decided` counts what a model has decided."""

    def __init__(
        self,
        store: Store,
        act: Callable[..., AbstractContextManager[object]],
        decided: Callable[[str, str], None] = lambda _model, _outcome: None,
    ) -> None:
        self._store, self._act, self._decided = store, act, decided

    def recorded(
        self, operation: Operation, terms: Terms, score: Mapping[str, Any], explained: Callable[[], Explained]
    ) -> tuple[Mapping[str, Any] | None, dict[str, Any]]:
        """The score and what `meta` says of its decision; without a record there is none, and `meta` says why."""
        spec = cast(Scoring, operation.scoring)
        try:
            features, reasons = explained()
            made = {"score": score["value"], "outcome": outcome(spec, score["value"]), "features": features, "reasons": reasons}
            model = f"{spec.model}@{spec.version}"
            id = self._store.add_decision(terms.consumer, terms.tenant, operation.name, model, operation.hash, terms.subjects, made)
        except (NotReady, ScoringError):
            return None, {"not_scored": "the decision could not be put on record"}
        self._decided(model, made["outcome"])
        return score, {"decision": id, "outcome": made["outcome"]}

    def shown(self, id: str, caller: Caller) -> dict[str, Any]:
        """For who made it and for reviewers of its tenant. Raises NoSuchThing."""
        found = self._found(id, caller)
        with self._act(caller.principal, "decision shown", about=id):
            return told(found, whole=REVIEW in caller.scopes)

    def open(self, caller: Caller, review: str, model: str | None = None, since: str = "", before: str = "") -> dict[str, Any]:
        """Those of the reviewer's tenant in a state of review, the newest first: 50 at a time, and those after the one with id `before`."""
        need(caller, REVIEW)
        if review not in ("open", *_ENDS):
            raise Invalid(f"review is open, {' or '.join(_ENDS)}")
        try:
            begin = moment(since) if since else None
        except ValueError:
            raise Invalid("since is like 2026-01-31 or 2026-01-31T12:00 (UTC)") from None
        last = self._found(before, caller) if before else None
        found = self._store.decisions(caller.tenant, review, model=model, since=begin, before=last)
        with self._act(caller.principal, "decisions shown", about=[one.id for one in found]):
            return {"decisions": [told(one, whole=True) for one in found]}

    def ask(self, id: str, caller: Caller, words: str) -> dict[str, Any]:
        """A person is to look at it, for the reason that the person concerned gives."""
        found = self._found(id, caller)
        if found.principal != caller.principal:
            raise Forbidden("a review is asked for by who made the decision")
        with self._act(caller.principal, "decision review asked", about=id):
            if not self._store.ask_review(id, caller.principal, _said("words", words)):
                raise NotPossible("a review of this decision was asked for before")
        return told(self._found(id, caller), whole=False)

    def end(self, id: str, caller: Caller, outcome: str, why: str) -> dict[str, Any]:
        """What a person makes of it."""
        need(caller, REVIEW)
        found = self._found(id, caller)
        if outcome not in _ENDS:
            raise Invalid(f"outcome is {' or '.join(_ENDS)}")
        if caller.principal in (found.asked_by, found.principal):
            raise Forbidden("who made a decision, or asked for its review, does not review it")
        with self._act(caller.principal, "decision review", about=id, outcome=outcome):
            if not self._store.end_review(id, caller.principal, outcome, _said("why", why)):
                raise NotPossible("no review of this decision is open")
        return told(self._found(id, caller), whole=True)

    def _found(self, id: str, caller: Caller) -> Decision:
        found = self._store.decision(id)
        mine = found is not None and found.principal == caller.principal
        if found is None or not (mine or (REVIEW in caller.scopes and found.tenant == caller.tenant)):
            raise NoSuchThing("there is no such decision, or it is not yours")
        return found


def told(one: Decision, whole: bool) -> dict[str, Any]:
    """JSON-ready; `whole` with the values that went into it, and what people have said."""
    about: dict[str, Any] = {
        "id": one.id, "at": iso(one.created), "operation": one.operation, "model": one.model, "catalogue": one.catalogue,
        "outcome": one.made["outcome"], "score": one.made["score"], "reasons": one.made["reasons"], "review": _review(one, whole),
    }  # fmt: skip
    return {**about, "principal": one.principal, "subjects": one.subject.split(), "features": one.made["features"]} if whole else about


def _review(one: Decision, whole: bool) -> dict[str, Any] | None:
    if not one.review:
        return None
    said = {"words": one.words, "asked_by": one.asked_by, "reviewer": one.reviewer} if whole else {}
    return {"state": one.review, "changed": iso(one.changed), "why": one.why, **said}


def _said(name: str, text: str) -> str:
    if not 0 < len(text.strip()) <= LONGEST:
        raise Invalid(f"{name} must have 1 to {LONGEST} characters")
    return text
