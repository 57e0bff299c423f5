"""What is put on record: who asked for what, for which purpose and about whom, what left Figway and where it came from.

    a read            its outcome, durable before the answer leaves; an access of which nothing left is on record as what it was
    a write           its intent, durable before the first act; then its outcome, which is told late where it can't be told now
    a deferred write  the same, and later what became of its job
    a denial          counted and sampled (denials.py)
    an act of people  before it is done, and how it ended

No value of a request or of a row, and no secret: names, counts, times, and people as tokens (tokens.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from adapters.base import Events
from adapters.events import SILENT
from wrapper import log, subjects
from wrapper.audit.acts import PATIENCE, Act
from wrapper.audit.denials import STRANGERS, Denials
from wrapper.audit.follow import Fault
from wrapper.audit.lines import now, packed
from wrapper.audit.tokens import Keys, Tokens
from wrapper.audit.writer import Writer
from wrapper.late import SOON, Late
from wrapper.operation import Operation
from wrapper.policy.keys import Caller
from wrapper.policy.mask import left
from wrapper.problems import RequestError
from wrapper.request import Answer, Request
from wrapper.rows import Rows
from wrapper.state.clock import me
from wrapper.subjects import Subject

VIEWS = 10_000


class Audit:
    """This process's audit trail, in a folder that all processes of the installation on this host share. Thread-safe."""

    def __init__(self, folder: Path, keys: Keys, catalogue: str = "", events: Events = SILENT) -> None:
        """`catalogue` is the hash of what is served."""
        self.writer = Writer(folder, {"process": me(), "catalogue": catalogue}, events)
        self._events = events
        self._late = Late()
        self.tokens = Tokens(keys, self._late)
        self.denials = Denials(lambda about: self.writer.offer(packed(about)))
        self.writer.idle = self.denials.turn
        self._views: dict[tuple[str, str, frozenset[str]], orjson.Fragment] = {}

    def entry(self, operation: Operation, request: Request) -> Entry:
        """For one request; leaving its block by an error puts that on record."""
        purpose = request.purpose if request.purpose in request.caller.purposes else ""  # a header may say anything
        return Entry(self, operation, request.caller, request.trace, purpose or "")

    def stranger(self, address: str, endpoint: str | None, trace: str) -> None:
        """Somebody whom nobody knows was refused."""
        about = {"at": now(), "kind": "denied", "op": endpoint or "", "status": 401, "outcome": "Unauthenticated", "from": address}
        self.denials.met(("", "", 401), {**about, "request": trace}, STRANGERS)

    def denied(self, who: str, endpoint: str, error: RequestError, trace: str) -> None:
        """Somebody whom we know was refused what is no endpoint of the catalogue: a job of others, the admin API."""
        about = {"at": now(), "kind": "denied", "who": who, "op": endpoint, "status": error.status, "outcome": type(error).__name__}
        self.denials.met((who, endpoint, error.status), {**about, "request": trace})

    def act(self, who: str, what: str, **about: Any) -> Act:
        """What a person, or Figway by itself, is about to do: see acts.py. Raises NotReady."""
        return Act(self.writer, who, what, **about)

    def note(self, kind: str, **about: Any) -> bool:
        """What has been done where no caller waits (a job, a write that was settled): whether it is on record by now."""
        return self.writer.tell(packed({"at": now(), "kind": kind, **about}), SOON)

    def fault(self, fault: Fault) -> None:
        """The trail was looked at, and is not as it was."""
        log.get().error("audit", outcome="not as it was anchored: figway audit verify tells more", detail=str(fault))
        self._events.happened("audit_faults", "figway")

    def fields(self, operation: Operation, caller: Caller) -> orjson.Fragment:
        """Which fields this caller gets, clear and masked, by name; made once."""
        key = operation.name, operation.hash, caller.scopes
        view = self._views.get(key)
        if view is None:
            clear, masked = left(operation.fields, caller)
            if len(self._views) >= VIEWS:
                self._views.clear()
            view = self._views[key] = orjson.Fragment(packed({"clear": clear, "masked": masked}))
        return view

    def close(self) -> None:
        self.denials.turn(now=True)
        self.writer.close()
        self._late.close()


class Entry:
    """What is on record of one request. `served` is filled by whoever gets rows: the side and the rows."""

    __slots__ = (
        "_about", "_audit", "_began", "_caller", "_intent", "_operation", "_recorded", "_subjects", "decision", "purpose", "served",
    )  # fmt: skip

    def __init__(self, audit: Audit, operation: Operation, caller: Caller, trace: str, purpose: str) -> None:
        self._audit, self._operation, self._caller = audit, operation, caller
        self._about = {"who": caller.principal, "via": caller.via, "op": operation.name, "cat": operation.hash[:12], "request": trace}
        self._began = time.monotonic()
        self._subjects: tuple[Subject, ...] = ()
        self._intent, self._recorded = 0, False
        self.purpose, self.decision = purpose, ""
        self.served: list[tuple[str, Rows]] = []

    def __enter__(self) -> Entry:
        return self

    def concerns(self, params: Mapping[str, Any]) -> tuple[Subject, ...]:
        """Whose data it is about, by its parameters."""
        self._subjects = subjects.of(self._operation, params, self._caller.tenant)
        return self._subjects

    def intend(self, side: str, deadline: float) -> None:
        """A write is about to be done. Raises NotReady: then it must not be."""
        record = self._record("intent", make=True, side=side, system=_system(self._operation, side))
        self._intent = self._audit.writer.put(packed(record), _patience(deadline))

    def answered(self, answer: Answer, deadline: float) -> Answer:
        """The answer as it may leave: a read is on record by then, or NotReady; a write says when it is not."""
        about = self._left(answer) if answer.body["data"] is not None else {}
        kind = self._operation.effect if self._intent else "read"
        body = packed(self._ended(kind, answer.status, "ok", make=True, **about))
        self._recorded = True
        if not self._intent:
            self._audit.writer.put(body, _patience(deadline))
        elif not self._audit.writer.tell(body, SOON):
            return replace(answer, body={**answer.body, "meta": {**answer.body["meta"], "audit": "pending"}})
        return answer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or self._recorded:
            return
        status, outcome = getattr(error, "status", 500), type(error).__name__
        record = self._ended(self._operation.effect if self._intent else "denied" if status < 500 else "failed", status, outcome)
        if self._intent:
            self._audit.writer.tell(packed(record), SOON)
        else:
            self._audit.denials.met((self._caller.principal, self._operation.name, status), record)

    def _left(self, answer: Answer) -> dict[str, Any]:
        """What the answer gives away."""
        data, scoring = answer.body["data"], self._operation.scoring
        rows = {"rows": len(data)} if isinstance(data, list) else {}
        model = {"model": f"{scoring.model}/{scoring.version}"} if scoring is not None and answer.body["score"] is not None else {}
        return {"fields": self._audit.fields(self._operation, self._caller), **rows, **model}

    def _ended(self, kind: str, status: int, outcome: str, make: bool = False, **about: Any) -> dict[str, Any]:
        record = self._record(kind, make=make, status=status, outcome=outcome, **about)
        record["ms"] = round((time.monotonic() - self._began) * 1000)
        if self.served:
            record["served"] = [_source(side, rows) for side, rows in self.served]
        if self._intent:
            record["intent"] = self._intent
        if self.decision:
            record["decision"] = self.decision
        return record

    def _record(self, kind: str, make: bool, **about: Any) -> dict[str, Any]:
        record = {"at": now(), "kind": kind, **self._about, **about}
        if self.purpose:
            record["purpose"] = self.purpose
        if self._subjects:
            record["subjects"] = self._audit.tokens.of(self._subjects, make)
        return record


def _patience(deadline: float) -> float:
    return min(PATIENCE, max(0.25, deadline - time.monotonic()))


def _system(operation: Operation, side: str) -> str:
    source = operation.legacy if side == "legacy" else operation.modern
    return source.system if source is not None else ""


def _source(side: str, rows: Rows) -> dict[str, Any]:
    """Who has said it, and to which of his users."""
    if rows.age is not None:
        return {"system": rows.backend, "side": side, "by": "cache", "age": round(rows.age)}
    return {"system": rows.backend, "side": side, **({"by": rows.by} if rows.by else {})}
