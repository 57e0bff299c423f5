"""Service.serve: one request, top to bottom. READ THIS FIRST.

    authorise -> load params -> authorise the object
        -> [write: reserve the idempotency key; of an earlier one: its answer, or what became of it; look what is there before]
        -> decide the side -> fetch = cache ( adapter call -> read schema -> echo check -> quality gate )
        -> score -> [write: keep the answer] -> mask -> Answer

One explicit function, called by HTTP and by the command line alike: a policy that raises stops the request. Nothing here knows Flask.
Answers that were kept (replays, jobs) leave by the same last step: they are masked for whoever asks now.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from adapters.base import Adapter, Call, Reply
from adapters.errors import AdapterError, Misread, Missing, OutcomeUnknown
from wrapper import functions
from wrapper.cache import Cache
from wrapper.join import Join, origin
from wrapper.late import Late
from wrapper.metrics import Metrics
from wrapper.operation import Catalogue, Operation, Source
from wrapper.params import Params
from wrapper.policy.keys import Caller, authorise, authorise_object
from wrapper.policy.mask import masked, sees_all
from wrapper.problems import Invalid, NoSuchThing, RequestError
from wrapper.quality import STALE, gate, too_old
from wrapper.request import Answer, Given, Request, Side, Terms
from wrapper.rows import Reader, Rows
from wrapper.score import Scorer
from wrapper.settle import Settling
from wrapper.state.store import Store
from wrapper.telemetry import Telemetry
from wrapper.writes import Writes

BYPASS = "cache:bypass"
"""The scope of callers whose `Cache-Control: no-cache` is heeded."""


class Adapters(Protocol):
    """Live adapters by system name."""

    def __getitem__(self, name: str) -> Adapter: ...


class Service:
    """Everything of a catalogue that is compiled once: parameter loaders, readers, scorers. Thread-safe."""

    def __init__(
        self,
        catalogue: Catalogue,
        adapters: Adapters,
        store: Store,
        scorer: Scorer,
        packages: Sequence[str] = (),
        waiters: int = 16,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.catalogue = catalogue
        self._adapters, self._scorer = adapters, scorer
        self._params = {op.name: Params(op) for op in catalogue.operations.values()}
        self._readers = {
            (op.name, side): Reader(op.fields, source.read, packages, source.transform_records)
            for op in catalogue.operations.values()
            for side, source in _sides(op)
        }
        self._given = {
            (op.name, side): functions.of_params(source.transform_params, packages)
            for op in catalogue.operations.values()
            for side, source in _sides(op)
        }
        self._echoed = {op.name: _echoed(op) for op in catalogue.operations.values()}
        told = telemetry or Telemetry(Metrics())
        self._asking = {
            (op.name, side): told.asking(op, side, source) for op in catalogue.operations.values() for side, source in _sides(op)
        }
        self._join = Join(self._rows_of)
        self._late = Late()
        self.cache = Cache(catalogue.operations, store, self._late, told.metrics)
        self.settling = Settling(catalogue, store, self._rows_of, self.load, self._dumped_row, self.cache.changed)
        self.writes = Writes(store, waiters, self._late, self.settling)

    def serve(self, operation: Operation, request: Request) -> Answer:
        """The answer, or a RequestError or AdapterError: never later than the deadline plus a second."""
        authorise(operation.auth, request.caller, request.purpose)
        params = self._params[operation.name].load(request.given)
        authorise_object(operation.auth, request.caller, params)
        terms = Terms(time.monotonic() + operation.deadline, request.trace, request.fresh and BYPASS in request.caller.scopes)
        answer = self._write if operation.effect == "write" else self._answer
        return _shown(answer(operation, request, params, terms), operation, request.caller)

    def job(self, id: str, caller: Caller) -> Answer | None:
        """A deferred request's answer, or how far it is; None when there is no such job of this caller."""
        answer = self.writes.job(id, caller)
        if answer is None:
            return None
        return _shown(answer, self.catalogue.operations.get(answer.body["meta"]["job"]["operation"]), caller)

    def _write(self, operation: Operation, request: Request, params: Mapping[str, Any], terms: Terms) -> Answer:
        """A write is reserved under its idempotency key first, and never done twice."""
        write = self.writes.begin(operation, request, terms)
        if isinstance(write, Answer):
            return write
        if operation.legacy is not None and operation.legacy.deferred:
            return self.writes.defer(write, operation.legacy, request)
        with write:
            intent = self.settling.intent(operation, request.given, params, terms)
            return write.done(self._answer(operation, request, params, replace(terms, acting=partial(write.act, intent))))

    def _answer(self, operation: Operation, request: Request, params: Mapping[str, Any], terms: Terms) -> Answer:
        """The whole answer, not yet masked."""
        if operation.parts:
            self._refuse_early(operation, params)
            gathered = self._join.gather(operation, params, terms)
            facts: Mapping[str, Any] = gathered.facts
            data: Any = self._join.data(operation, params, facts)
            meta, age, stale = gathered.meta(operation), gathered.age, gathered.stale
        else:
            rows = self.fetch(operation, request.side, params, terms)
            facts = {"": rows.good if operation.shape == "items" else rows.good[0]}
            data = self._dumped(operation, request.side, rows)
            meta, age, stale = _meta(operation, request.side, rows), rows.age, too_old(operation, rows)
        score, notes = (None, {"not_scored": STALE}) if stale and operation.scoring else self._scorer.score(operation, facts)
        return Answer(200, {"data": data, "score": score, "meta": {**meta, **notes}}, {} if age is None else {"Age": f"{age:.0f}"})

    def fetch(self, operation: Operation, side: Side, params: Mapping[str, Any], terms: Terms) -> Rows:
        """Canonical rows from one side, echo-checked and through the quality gate; an object is exactly one row."""
        source = _source(operation, side)

        def ask(deadline: float) -> Rows:
            once = source.repeat == "allowed"
            given = self._given[operation.name, side](params, source.system)
            call = Call(operation.name, source.target, given, deadline, terms.trace, operation.effect, once, terms.acting)
            return self._read(operation, side, params, self._asking[operation.name, side](self._adapters[source.system], call))

        if operation.effect == "read":
            return self.cache.rows(operation, side, params, terms, ask)
        with self.cache.changing(operation):
            return ask(terms.deadline)

    def _read(self, operation: Operation, side: Side, params: Mapping[str, Any], reply: Reply) -> Rows:
        """What was answered, as canonical rows. A write whose answer can't be read has happened."""
        try:
            return self._canonical(operation, side, params, reply)
        except (RequestError, AdapterError) as error:
            if operation.effect == "read":
                raise
            raise OutcomeUnknown("the back end took the write, but its answer can't be read", backend=reply.backend) from error

    def _canonical(self, operation: Operation, side: Side, params: Mapping[str, Any], reply: Reply) -> Rows:
        rows = self._readers[operation.name, side].read(reply)
        gate(rows, operation.quality)
        _echo(self._echoed[operation.name], params, rows)
        _one(operation, rows)
        return rows

    def _rows_of(self, name: str, values: Mapping[str, Any], terms: Terms) -> tuple[Operation, Rows]:
        """A join's part: the same fetch, with parameters loaded by the part's own rules."""
        operation = self.catalogue.operations[name]
        try:
            params = self.load(operation, self.place(operation, values))
        except Invalid as error:
            raise Misread(f"{name} can't be asked with what another part answered: {error.detail}") from error
        return operation, self.fetch(operation, "legacy", params, terms.within(operation.deadline))

    def _refuse_early(self, operation: Operation, params: Mapping[str, Any]) -> None:
        """What a part will not take of the caller's own values is the caller's 422, before anything is asked."""
        for name, values in self._join.from_caller(operation, params):
            part = self.catalogue.operations[name]
            self.load(part, self.place(part, values))

    def read_reply(self, operation: Operation, reply: Reply) -> dict[str, Any]:
        """A deferred reply as an answer's body, not yet masked, for the job that asked for it."""
        rows = self._readers[operation.name, "legacy"].read(reply)
        gate(rows, operation.quality)
        _one(operation, rows)
        data = self._dumped(operation, "legacy", rows)
        return {"data": data, "score": None, "meta": _meta(operation, "legacy", rows)}

    def place(self, operation: Operation, values: Mapping[str, Any]) -> Given:
        """Values by name, put where the operation wants them (command line, examples)."""
        return self._params[operation.name].place(values)

    def load(self, operation: Operation, given: Given) -> dict[str, Any]:
        """Typed parameters. Raises Invalid."""
        return self._params[operation.name].load(given)

    def _dumped(self, operation: Operation, side: Side, rows: Rows) -> Any:
        dumped = self._readers[operation.name, side].dump(rows.good)
        return dumped if operation.shape == "items" else dumped[0]

    def _dumped_row(self, operation: Operation, row: Mapping[str, Any]) -> Any:
        return self._readers[operation.name, "legacy"].dump([row])[0]

    def close(self) -> None:
        self._join.close()
        self._late.close()


def _sides(operation: Operation) -> list[tuple[Side, Source]]:
    both: list[tuple[Side, Source | None]] = [("legacy", operation.legacy), ("modern", operation.modern)]
    return [(side, source) for side, source in both if source is not None]


def _source(operation: Operation, side: Side) -> Source:
    source = operation.legacy if side == "legacy" else operation.modern
    if source is None:
        raise NoSuchThing(f"{operation.name} has no {side} side")
    return source


def _shown(answer: Answer, operation: Operation | None, caller: Caller) -> Answer:
    """The answer as this caller may see it. Without the endpoint nobody can tell what is to be masked: then no data are shown."""
    data = answer.body["data"]
    if data is None or (operation is not None and sees_all(operation.fields, caller)):
        return answer
    shown: Any = None
    if operation is not None:
        rows = masked(data if isinstance(data, list) else [data], operation.fields, caller)
        shown = rows if isinstance(data, list) else rows[0]
    return Answer(answer.status, {**answer.body, "data": shown}, answer.headers)


def _one(operation: Operation, rows: Rows) -> None:
    """An object is exactly one row."""
    if operation.shape == "object" and not rows.good:
        raise Missing(f"{operation.name} has nothing under this key", backend=rows.backend)
    if operation.shape == "object" and len(rows.good) > 1:
        raise Misread(f"{operation.name} expected one record, met {len(rows.good)}", backend=rows.backend)


def _echoed(operation: Operation) -> tuple[str, ...]:
    """Path parameters whose name a field of the answer bears."""
    fields = {f.name for f in operation.fields}
    return tuple(p.field.name for p in operation.params if p.where == "path" and p.field.name in fields)


def _echo(names: Sequence[str], params: Mapping[str, Any], rows: Rows) -> None:
    """Such a field must show the value asked for: another customer's answer is never passed on."""
    for name in names:
        if any(row[name] != params[name] for row in rows.good):
            raise Misread(f"the answer's {name} is not the one asked for", backend=rows.backend)


def _meta(operation: Operation, side: Side, rows: Rows) -> dict[str, Any]:
    source: dict[str, Any] = {"system": rows.backend, "side": side, **origin(rows)}
    counts: dict[str, Any] = {"count": len(rows.good)} if operation.shape == "items" else {}
    if rows.bad:
        counts["rejected"] = [{"row": bad.index, "reasons": list(bad.reasons)} for bad in rows.bad]
    return {"sources": [source], **counts}
