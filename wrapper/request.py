"""A request and its answer, free of any transport."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wrapper.operation import Side as Side
from wrapper.policy.keys import Caller
from wrapper.subjects import Subject


@dataclass(frozen=True, slots=True, repr=False)
class Given:
    """What the caller sent, by place: path, query and headers are text, the body is parsed JSON."""

    path: Mapping[str, Any]
    query: Mapping[str, Any]
    header: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """`wait` is for how many seconds the caller would wait for a deferred answer; `fresh` asks for one that was not kept. `wanted` is the
    side that a tester wants; `explained`: the answer's headers say the endpoint's stage and who served it. `told` gets headers that the
    answer has whatever becomes of the request."""

    caller: Caller
    given: Given
    trace: str
    purpose: str | None = None
    idempotency_key: str | None = None
    wait: float = 0.0
    wanted: Side | None = None
    fresh: bool = False
    explained: bool = False
    told: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """How back ends are asked: until when (monotonic seconds), under which request id, whether nothing that was kept will do, what is to
    be called before a write's one act, and under which key a back end knows the write again (see adapters.base.Call); for whom, about
    whom, and which side a tester wants. What was asked is noted in `asked` (migration.asked.Asked), and what the answer was made of in
    `served` (the side and its Rows)."""

    deadline: float
    trace: str
    fresh: bool = False
    acting: Callable[[], None] = lambda: None
    key: str = field(default="", repr=False)
    consumer: str = ""
    tenant: str = ""
    subjects: tuple[Subject, ...] = ()
    wanted: Side | None = None
    asked: list[Any] = field(default_factory=list, repr=False)
    served: list[Any] = field(default_factory=list, repr=False)

    def within(self, seconds: float) -> Terms:
        """The same, and no longer than so many seconds from now."""
        return replace(self, deadline=min(self.deadline, time.monotonic() + seconds))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets. `body` is JSON-ready."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
