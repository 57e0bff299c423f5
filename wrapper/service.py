"""Service.serve: one request, top to bottom. READ THIS FIRST.

    authorise -> spend the caller's quota -> [410 or a brown-out] -> load params -> authorise the object
        -> [write: reserve the idempotency key; of an earlier one: its answer, or what became of it; look what is there before]
        -> decide the side -> [write: its intent on record]
        -> fetch = cache ( the system's rate -> [sides.py: adapter call -> read schema -> quality gate -> echo check] )
        -> score -> [a decision: on record with its reasons] -> [write: keep the answer] -> mask -> on record (wrapper/audit) -> Answer
        (later, off the request: the other side is asked, and both answers are compared)

One explicit function, called by HTTP and by the command line alike: a policy that raises stops the request. Nothing here knows Flask.
Answers that were kept (replays, jobs) leave by the same last step: they are masked for whoever asks now.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.base import Reply
from adapters.errors import Misread
from wrapper import retiring
from wrapper.access import Access
from wrapper.audit.trail import Audit, Entry
from wrapper.cache import Cache
from wrapper.decisions import Decisions
from wrapper.dual import Dual
from wrapper.erasures import Erasures
from wrapper.join import Join
from wrapper.late import Late
from wrapper.leaving import explained, meta, shown
from wrapper.ledger import Ledger
from wrapper.metrics import Metrics
from wrapper.migration.compare import failure
from wrapper.migration.decide import Choice
from wrapper.operation import Catalogue, Operation
from wrapper.params import Params
from wrapper.policy import objects
from wrapper.policy.keys import Caller, authorise
from wrapper.policy.mask import Masks
from wrapper.policy.quotas import Quotas
from wrapper.policy.tokenise import Tokens
from wrapper.problems import Invalid
from wrapper.quality import STALE, too_old
from wrapper.request import Answer, Given, Request, Side, Terms
from wrapper.rows import Rows
from wrapper.score import Scorer
from wrapper.settle import Settling
from wrapper.shadow import Shadow
from wrapper.sides import Adapters, Sides, source_of
from wrapper.spare_time import SpareTime
from wrapper.standings import Standings
from wrapper.state.kept import ERASURES
from wrapper.state.store import Store
from wrapper.telemetry import Telemetry
from wrapper.traffic import Traffic, wanted
from wrapper.truth import fact
from wrapper.writes import Writes

BYPASS = "cache:bypass"
"""The scope of callers whose `Cache-Control: no-cache` is heeded."""


class Service:
    """Everything of a catalogue that is compiled once: parameter loaders, rules, masks, sides. Thread-safe."""

    def __init__(
        self,
        catalogue: Catalogue,
        adapters: Adapters,
        store: Store,
        scorer: Scorer,
        packages: Sequence[str] = (),
        waiters: int = 16,
        telemetry: Telemetry | None = None,
        audit: Audit | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        """Without an `audit` it has one of its own, beside the store."""
        self.catalogue = catalogue
        self.quotas = quotas or Quotas(Access(), catalogue.systems, store)
        self._scorer, self._store = scorer, store
        self._params = {op.name: Params(op) for op in catalogue.operations.values()}
        self.authorise_object = {op.name: objects.check(op.auth, packages) for op in catalogue.operations.values()}
        tokens = Tokens(store)
        self._masks = {op.name: Masks(op.fields, partial(store.derived, "masks"), tokens.tokenise) for op in catalogue.operations.values()}
        told = telemetry or Telemetry(Metrics())
        self.audit = audit or Audit(store.folder / "audit", store, catalogue.hash, told.metrics)
        self._sides = Sides(catalogue, adapters, packages, told)
        self.decisions = Decisions(store, partial(self.audit.act, via="api"), told.metrics.decided)
        self._join = Join(self._rows_of)
        self.standings, self.ledger = Standings(store), Ledger(store)
        self.traffic = Traffic(catalogue, self.standings, store, self.ledger)
        self._spare = SpareTime()
        self.shadow = Shadow(self._aside, self.traffic.lacking, self.ledger, store.newest_build, self._spare, told.metrics)
        self._late = Late()
        self.cache = Cache(catalogue.operations, store, self._late, told.metrics)
        self.settling = Settling(catalogue, store, self._rows_at, self.load, self._sides.dumped_row, self.cache.changed, self.audit.note)
        self.writes = Writes(store, waiters, self._late, self.settling)
        self.dual = Dual(catalogue, store, self.standings)
        self.erasures = Erasures(partial(store.generation, ERASURES), (self.cache.forget, self.audit.tokens.forget))

    def serve(self, operation: Operation, request: Request) -> Answer:
        """The answer, or a RequestError or AdapterError: never later than the deadline plus a second."""
        self.erasures.heeded()
        with self.audit.entry(operation, request) as entry:
            entry.purpose = authorise(operation.auth, request.caller, request.purpose)
            self.quotas.spend(operation, request.caller, request.told)
            stage = self.standings.of(operation.name).stage if operation.migration is not None else "legacy"
            if operation.migration is not None:
                retiring.refuse(operation, stage, time.time())
            params = self._params[operation.name].load(request.given)
            whose = entry.concerns(params)
            self.authorise_object[operation.name](request.caller, params)
            fresh = request.fresh and BYPASS in request.caller.scopes
            terms = Terms(
                time.monotonic() + operation.deadline, request.trace, fresh, consumer=request.caller.principal, wanted=wanted(request),
                tenant=request.caller.tenant, subjects=whose, served=entry.served,
            )  # fmt: skip
            try:
                match operation.effect:
                    case "read":
                        answer = self._answer(operation, params, terms)
                    case "idempotent":
                        choice = self.traffic.choose(operation, params, terms)
                        entry.intend(choice.side, terms.deadline)
                        answer = self._answer(operation, params, terms, choice)
                    case "write":
                        answer = self._write(operation, request, params, terms, entry)
            finally:
                self.shadow.after(terms.asked)
            entry.decision = answer.body["meta"].get("decision", "")
            answer = entry.answered(shown(answer, self._masks[operation.name], request.caller), terms.deadline)
        return explained("" if operation.parts else stage, answer) if request.explained else answer

    def job(self, id: str, caller: Caller) -> Answer | None:
        """A deferred request's answer, or how far it is; None when there is no such job of this caller."""
        if (answer := self.writes.job(id, caller)) is None:
            return None
        operation = self.catalogue.operations.get(answer.body["meta"]["job"]["operation"])
        held = caller.purposes.intersection(operation.auth.purposes) if operation else ()
        purpose = authorise(operation.auth, caller, min(held, default=None)) if operation else ""  # another credential, or less by now
        told = shown(answer, self._masks.get(operation.name) if operation else None, caller)
        if operation is None or told.body["data"] is None:
            return told
        kept = self._store.params(id)
        given = Given(**kept) if kept else Given({}, {}, {}, {})
        with self.audit.entry(operation, Request(caller, given, id)) as entry:
            entry.purpose = purpose if len(held) == 1 else ""
            with suppress(Invalid):  # by the rules of today's catalogue
                params = self.load(operation, given)
                entry.concerns(params)
                self.authorise_object[operation.name](caller, params)
            return entry.answered(told, time.monotonic() + operation.deadline)

    def _write(self, operation: Operation, request: Request, params: Mapping[str, Any], terms: Terms, entry: Entry) -> Answer:
        """A write is reserved under its idempotency key first, and never done twice."""
        choice = self.traffic.choose(operation, params, terms)
        source = source_of(operation, choice.side)
        write = self.writes.begin(operation, choice.side, request, terms)
        if isinstance(write, Answer):
            return write
        if source.deferred:
            with write:
                entry.intend(choice.side, terms.deadline)
            self.ledger.served(operation, terms.consumer, choice.side, 0.0, failed=False, tracked=False)
            return self.writes.defer(write, source, request)
        with write:
            key = self.dual.begin(write.id, operation, choice.side, request, params)
            intent = self.settling.intent(operation, choice.side, request.given, params, terms)
            entry.intend(choice.side, terms.deadline)
            terms = replace(terms, acting=partial(write.act, intent), key=key)
            return write.done(self._answer(operation, params, terms, choice))

    def _answer(self, operation: Operation, params: Mapping[str, Any], terms: Terms, choice: Choice | None = None) -> Answer:
        """The whole answer, not yet masked; `choice` is a write's side, chosen before."""
        if operation.parts:
            self._refuse_early(operation, params)
            gathered = self._join.gather(operation, params, terms)
            facts: Mapping[str, Any] = gathered.facts
            data: Any = self._join.data(operation, params, facts)
            about, age, stale = gathered.meta(operation), gathered.age, gathered.stale
        else:
            choice, rows = self._chosen(operation, params, terms, choice)
            facts = {"": fact(operation, rows)}
            data = self._sides.dumped(operation, choice.side, rows)
            about, age, stale = meta(operation, choice.side, rows), rows.age, too_old(operation, rows)
        score, notes = (None, {"not_scored": STALE}) if stale and operation.scoring else self._scorer.score(operation, facts)
        if score is not None and operation.scoring is not None and operation.scoring.decides:
            score, notes = self.decisions.recorded(operation, terms, score, partial(self._scorer.explained, operation, facts))
        if operation.scoring is not None and not stale:
            for met in terms.asked:
                met.score = partial(self._scored, operation, facts, met.operation)
        return Answer(200, {"data": data, "score": score, "meta": {**about, **notes}}, {} if age is None else {"Age": f"{age:.0f}"})

    def _chosen(self, operation: Operation, params: Mapping[str, Any], terms: Terms, choice: Choice | None = None) -> tuple[Choice, Rows]:
        """What the side says to which this request goes."""
        choice = choice or self.traffic.choose(operation, params, terms)
        answered = partial(self.traffic.answered, operation, choice, params, terms, time.monotonic())
        try:
            rows = self.fetch(operation, choice.side, params, terms)
        except Exception as error:
            answered(failure(error))
            raise
        answered(rows)
        terms.served.append((choice.side, rows))
        return choice, rows

    def _aside(self, operation: Operation, side: Side, params: Mapping[str, Any], deadline: float) -> tuple[Rows, float]:
        """Past the cache, in places that are to spare; and in how many seconds, without those in which it waited for the processor."""
        began = time.monotonic()
        reply = self._replied(operation, side, params, Terms(deadline, "figway-shadow"), background=True)
        took = time.monotonic() - began
        with self._spare:
            began = time.monotonic() - took
            return self._sides.read(operation, side, params, reply), time.monotonic() - began

    def _scored(self, operation: Operation, facts: Mapping[str, Any], asked: Operation, rows: Rows) -> Any:
        """The score that an answer would have with these rows of one of its parts, or of itself."""
        name = next((part.name for part in operation.parts if part.operation == asked.name), "")
        return self._scorer.score(operation, {**facts, name: fact(asked, rows)})[0]

    def _replied(self, operation: Operation, side: Side, params: Mapping[str, Any], terms: Terms, background: bool = False) -> Reply:
        source, call = self._sides.call(operation, side, params, terms, background)
        self.quotas.spend_system(source.system, terms.consumer, background)
        return self._sides.asked(operation, side, source, call)

    def fetch(self, operation: Operation, side: Side, params: Mapping[str, Any], terms: Terms) -> Rows:
        """Canonical rows from one side, echo-checked and through the quality gate; an object is exactly one row."""

        def ask(deadline: float) -> Rows:
            return self._sides.read(operation, side, params, self._replied(operation, side, params, replace(terms, deadline=deadline)))

        if operation.effect == "read":
            return self.cache.rows(operation, side, params, terms, ask)
        with self.cache.changing(operation):
            return ask(terms.deadline)

    def _rows_of(self, name: str, values: Mapping[str, Any], terms: Terms) -> tuple[Operation, Rows]:
        """A join's part: the same fetch, with parameters loaded by the part's own rules."""
        operation, params = self._part(name, values)
        return operation, self._chosen(operation, params, terms.within(operation.deadline))[1]

    def _rows_at(self, name: str, side: Side, values: Mapping[str, Any], terms: Terms) -> tuple[Operation, Rows]:
        """What one side shows, wherever its endpoint stands: for whoever settles a write there."""
        operation, params = self._part(name, values)
        return operation, self.fetch(operation, side, params, terms.within(operation.deadline))

    def _part(self, name: str, values: Mapping[str, Any]) -> tuple[Operation, dict[str, Any]]:
        operation = self.catalogue.operations[name]
        try:
            return operation, self.load(operation, self.place(operation, values))
        except Invalid as error:
            raise Misread(f"{name} can't be asked with what another part answered: {error.detail}") from error

    def _refuse_early(self, operation: Operation, params: Mapping[str, Any]) -> None:
        """What a part will not take of the caller's own values is the caller's 422, before anything is asked."""
        for name, values in self._join.from_caller(operation, params):
            part = self.catalogue.operations[name]
            self.load(part, self.place(part, values))

    def read_reply(self, operation: Operation, reply: Reply) -> dict[str, Any]:
        """A deferred reply as an answer's body, not yet masked, for the job that asked for it."""
        rows = self._sides.gated(operation, "legacy", reply)
        return {"data": self._sides.dumped(operation, "legacy", rows), "score": None, "meta": meta(operation, "legacy", rows)}

    def place(self, operation: Operation, values: Mapping[str, Any]) -> Given:
        """Values by name, put where the operation wants them (command line, examples)."""
        return self._params[operation.name].place(values)

    def load(self, operation: Operation, given: Given) -> dict[str, Any]:
        """Typed parameters. Raises Invalid."""
        return self._params[operation.name].load(given)

    def close(self) -> None:
        ends = self.erasures, self._join, self._late, self.standings, self.shadow, self.ledger, self.audit
        for each in ends:
            each.close()
