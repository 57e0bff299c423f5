"""A join: several operations asked side by side within one deadline, as facts for a response and a score.

A part starts as soon as the parts that its parameters name have answered. A failed optional part is named in `missing`; a failed
required one fails the join with its own error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from adapters import template
from adapters.base import Reply
from adapters.errors import AdapterError, DeadlineExceeded, Missing
from scoring import features
from wrapper.leaving import origin
from wrapper.operation import Operation, Part
from wrapper.problems import NotReady, RequestError
from wrapper.quality import gate, too_old
from wrapper.request import Terms
from wrapper.rows import Reader, Rows

THREADS = 32
GRACE = 0.5  # seconds that a part may be late: adapters end by themselves soon after the deadline
Asked = tuple[Operation, Rows]
Ask = Callable[[str, Mapping[str, Any], Terms], Asked]


@dataclass(slots=True)
class Gathered:
    """What the parts said: facts by part name, where each came from, the optional parts that are missing with the reason, the age of
    the oldest part that was kept, and whether one is too stale to be scored."""

    facts: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    age: float | None = None
    stale: bool = False

    def answered(self, part: Part, asked: Asked) -> None:
        operation, rows = asked
        self.facts[part.name] = rows.good if operation.shape == "items" else rows.good[0]
        self.sources[part.name] = {"part": part.name, "system": rows.backend, **origin(rows)}
        self.age = max((age for age in (self.age, rows.age) if age is not None), default=None)
        self.stale = self.stale or too_old(operation, rows)

    def meta(self, operation: Operation) -> dict[str, Any]:
        """For the answer, in the order of the endpoint's file."""
        names = [part.name for part in operation.parts]
        missing = [{"part": name, "reason": self.missing[name]} for name in names if name in self.missing]
        sources = [self.sources[name] for name in names if name in self.sources]
        return {"sources": sources, **({"missing": missing} if missing else {})}

    def failed(self, part: Part, error: AdapterError | RequestError) -> None:
        """Raises the error when the join can't do without the part."""
        if part.required:
            raise error
        self.missing[part.name] = error.title


class Join:
    """Runs joins on one bounded executor, made on first use. `ask` fetches one part."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="figway-join")
        self._readers: dict[str, Reader] = {}

    def gather(self, operation: Operation, params: Mapping[str, Any], terms: Terms) -> Gathered:
        """Every part asked, or its error. Ends by the deadline and GRACE."""
        gathered = Gathered()
        waiting = list(operation.parts)
        running: dict[Future[Asked], Part] = {}
        while waiting or running:
            for part in [p for p in waiting if _needs(p, operation) <= gathered.facts.keys() | gathered.missing.keys()]:
                waiting.remove(part)
                if _needs(part, operation) <= gathered.facts.keys():
                    values = template.filled(part.params, {**params, **gathered.facts})
                    running[self._submitted(part, values, terms)] = part
                else:
                    gathered.failed(part, Missing(f"{part.name} needs a part that is missing"))
            _settle(running, gathered, terms.deadline)
        return gathered

    def _submitted(self, part: Part, values: Mapping[str, Any], terms: Terms) -> Future[Asked]:
        try:
            return self._pool.submit(copy_context().run, self._ask, part.operation, values, terms)
        except RuntimeError:  # no thread, or this worker ends
            raise NotReady("the facade has no thread left to ask the join's parts with") from None

    def from_caller(self, operation: Operation, params: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The required parts that the caller's own values fill, each as its operation's name and these values."""
        return [
            (part.operation, template.filled(part.params, params))
            for part in operation.parts
            if part.required and not _needs(part, operation)
        ]

    def data(self, operation: Operation, params: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        """The join's own response, JSON-ready: each field from its expression, or the parameter of its name.

        It passes the contract's limits and the quality gate like any back end's row. Raises Inadequate.
        """
        record = {
            f.name: features.evaluate(features.parse(f.source), facts, date.today()) if f.source else params.get(f.name)
            for f in operation.fields
        }
        reader = self._readers.setdefault(operation.name, Reader(operation.fields, {}))
        rows = reader.read(Reply((record,), operation.name))
        gate(rows, operation.quality)
        return reader.dump(rows.good)[0]

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _settle(running: dict[Future[Asked], Part], gathered: Gathered, deadline: float) -> None:
    """Wait for the next answer, or for the deadline: then whatever still runs has failed."""
    if not running:
        return
    done, _ = wait(running, timeout=max(0.0, deadline - time.monotonic()) + GRACE, return_when=FIRST_COMPLETED)
    for future in done or list(running):
        part = running.pop(future)
        try:
            if not done:
                raise DeadlineExceeded(f"no answer from {part.name} in time")
            gathered.answered(part, future.result())
        except (AdapterError, RequestError) as error:
            gathered.failed(part, error)


def _needs(part: Part, operation: Operation) -> frozenset[str]:
    """The parts whose facts this part's parameters name."""
    used = frozenset().union(*(template.parse(text).uses for text in part.params.values()))
    return used & {p.name for p in operation.parts}
