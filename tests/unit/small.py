"""The smallest facade: one in-process back end that does as it is told, and operations made by hand.

It is an Adapter like any other, so the service under test is whole; protocols have their own tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adapters.base import Call, Record, Reply, Ticket
from adapters.errors import AdapterError, Missing
from scoring.store import Store as Models
from wrapper.operation import Auth, Catalogue, Field, Migration, Operation, Param, Part, Quality, ReadRule, Source, System
from wrapper.policy.keys import ANY, Caller
from wrapper.request import Answer, Given, Request
from wrapper.score import Scorer
from wrapper.service import Service
from wrapper.state.store import Store

OPEN: list[Store | Service] = []  # closed after each test by conftest.py, the last one first
ALICE = Caller("alice", frozenset({"things:read", "things:write"}), claims={"customer": frozenset({ANY})})


@dataclass
class Scripted:
    """A back end whose answers are a function; it counts what reached it. Deferred ones go through `submit`."""

    answer: Callable[[Call], Sequence[Record]] = lambda call: [{"id": call.params["id"], "amount": "1.00"}]
    name: str = "scripted"
    calls: list[Call] = field(default_factory=list)
    publish: Callable[[Ticket, Callable[[str], None]], None] = lambda ticket, record: record("published")
    replies: dict[str, Reply | AdapterError] = field(default_factory=dict)
    submitted: list[Ticket] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)

    def call(self, call: Call) -> Reply:
        self.calls.append(call)
        return Reply(tuple(self.answer(call)), self.name)

    def probe(self, timeout: float) -> None:
        return None

    def close(self) -> None:
        return None

    def submit(self, ticket: Ticket, record: Callable[[str], None]) -> None:
        self.submitted.append(ticket)
        self.publish(ticket, record)

    def collect(self, tickets: Sequence[Ticket], deadline: float) -> Iterable[tuple[Ticket, Reply | AdapterError]]:
        return [(t, self.replies[t.id]) for t in tickets if t.id in self.replies]

    def archive(self, ticket: Ticket, deadline: float) -> None:
        self.archived.append(ticket.id)
        self.replies.pop(ticket.id, None)


@dataclass(frozen=True)
class AnyTarget:
    uses: frozenset[str] = frozenset()
    gives: frozenset[str] | None = None


def operation(name: str = "things.get", **changes: Any) -> Operation:
    """A read of one thing by its id."""
    source = Source("scripted", "scripted", AnyTarget(), {"amount": ReadRule("amount", "plain")})
    made = Operation(
        name=name, summary="", owner="", group="", method="GET", path="/things/{id}", auth=Auth("things:read"), effect="read",
        params=(Param("path", Field("id", "string")),), shape="object",
        fields=(Field("id", "string"), Field("amount", "decimal", scale=2, optional=True)),
        legacy=source, modern=None, parts=(), deadline=2.0, quality=Quality(), scoring=None, limits={}, examples=(),
        file="", hash="",
    )  # fmt: skip
    return replace(made, **changes)


DROP = operation(
    "things.drop", method="POST", effect="write", auth=Auth("things:write"), shape="items",
    legacy=Source("scripted", "scripted", AnyTarget(), {"amount": ReadRule("amount", "plain")}, deferred=True, expect_within=60),
)  # fmt: skip
"""A write that is answered later."""


def join(parts: Sequence[Part], fields: Sequence[Field], **changes: Any) -> Operation:
    return operation("things.joined", legacy=None, parts=tuple(parts), fields=tuple(fields), **changes)


def service(
    folder: Path,
    back_end: Scripted,
    *operations: Operation,
    modern: Scripted | None = None,
    kept: type[Store] = Store,
    waiters: int = 16,
    models: Path | None = None,
) -> tuple[Service, Store]:
    sides = {"scripted": back_end} | ({"modern": modern} if modern is not None else {})
    catalogue = Catalogue({name: System(name, "scripted", {}, 1) for name in sides}, {op.name: op for op in operations}, "hash")
    store = kept(f"sqlite:///{folder}/state.sqlite")
    made = Service(catalogue, sides, store, Scorer(catalogue, Models(models or folder)), ("tests",), waiters)
    OPEN.extend([store, made])
    return made, store


def moving(name: str = "things.get", terms: Migration | None = None, **changes: Any) -> Operation:
    """A read that both sides answer, on its way; its key is its id."""
    terms = replace(terms or Migration(), highest="retired", key="id")
    modern = Source("modern", "scripted", AnyTarget(), {"amount": ReadRule("amount", "plain")})
    return operation(name, modern=modern, migration=terms, group="things", **changes)


def request(id: str = "7", caller: Caller = ALICE, **more: Any) -> Request:
    place: Mapping[str, Any] = {"path": {"id": id}, "query": {}, "header": {}, "body": {}}
    return Request(caller, Given(**{**place, **more.pop("given", {})}), "trace", **more)


def missing(_call: Call) -> Sequence[Record]:
    raise Missing("there is no such thing", backend="scripted")


def slow(seconds: float) -> Callable[[Call], Sequence[Record]]:
    def answer(call: Call) -> Sequence[Record]:
        time.sleep(min(seconds, call.left()))
        call.left()
        return [{"id": call.params["id"], "amount": "1.00"}]

    return answer


def fail(error: Exception) -> Callable[[Call], Sequence[Record]]:
    def answer(_call: Call) -> Sequence[Record]:
        raise error

    return answer


def drop(made: Service, key: str = "k1", wait: float = 0.0) -> Answer:
    return made.serve(DROP, request(idempotency_key=key, wait=wait))


def reply() -> Reply:
    return Reply(({"id": "7", "amount": "1.00"},), "scripted")
