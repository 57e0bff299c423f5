"""A join: several operations asked side by side within one deadline, as facts for a response and a score.

A part starts as soon as the parts that its parameters name have answered. A failed optional part is named in `missing`; a failed
required one fails the join with its own error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import date
from decimal import Decimal
from typing import Any

from adapters import template
from adapters.errors import AdapterError, DeadlineExceeded
from scoring import features
from wrapper.operation import Operation, Part
from wrapper.problems import RequestError
from wrapper.rows import Rows

THREADS = 32
Ask = Callable[[str, Mapping[str, Any], float, str], tuple[Operation, Rows]]
Asked = tuple[Operation, Rows]


class Join:
    """Runs joins on one bounded executor, made on first use. `ask` fetches one part."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="figway-join")

    def facts(
        self, operation: Operation, params: Mapping[str, Any], deadline: float, trace: str
    ) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, str]]]:
        """Facts by part name, where they came from, and the optional parts that are missing with the reason."""
        waiting = list(operation.parts)
        running: dict[Future[Asked], Part] = {}
        facts: dict[str, Any] = {}
        sources: dict[str, dict[str, Any]] = {}
        missing: list[dict[str, str]] = []
        while waiting or running:
            settled = facts.keys() | {m["part"] for m in missing}
            for part in [p for p in waiting if _needs(p, operation) <= settled]:
                waiting.remove(part)
                values = _values(part, params, facts)
                if values is None:
                    _lack(part, DeadlineExceeded("a part that it depends on is missing"), missing)
                else:
                    running[self._pool.submit(self._ask, part.operation, values, deadline, trace)] = part
            if not running:
                continue
            for future in _next(running, deadline):
                part = running.pop(future)
                try:
                    asked, rows = future.result()
                except (AdapterError, RequestError) as error:
                    _lack(part, error, missing)
                    continue
                facts[part.name] = rows.good if asked.shape == "items" else rows.good[0]
                sources[part.name] = {"part": part.name, "system": rows.backend, **({"as_of": rows.as_of} if rows.as_of else {})}
        return facts, [sources[p.name] for p in operation.parts if p.name in sources], missing

    def data(self, operation: Operation, params: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        """The join's own response, JSON-ready: each field from its expression, or the parameter of its name."""
        return {
            f.name: _json(features.evaluate(features.parse(f.source), facts, date.today()) if f.source else params.get(f.name), f.scale)
            for f in operation.fields
        }

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _needs(part: Part, operation: Operation) -> frozenset[str]:
    """The parts whose facts this part's parameters name."""
    used = frozenset().union(*(template.parse(text).uses for text in part.params.values()))
    return used & {p.name for p in operation.parts}


def _values(part: Part, params: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """The part's parameters, or None when one of them is not known."""
    known = {**params, **facts}
    values = {name: template.parse(text).value(known) for name, text in part.params.items()}
    return None if any(v is None for v in values.values()) else values


def _next(running: Mapping[Future[Asked], Part], deadline: float) -> set[Future[Asked]]:
    """Futures that have ended; at the deadline plus half a second, the error (adapters end by themselves before that)."""
    done, _ = wait(running, timeout=max(0.0, deadline - time.monotonic()) + 0.5, return_when=FIRST_COMPLETED)
    if not done:
        raise DeadlineExceeded(f"no answer from {', '.join(sorted(p.name for p in running.values()))} in time")
    return done


def _lack(part: Part, error: AdapterError | RequestError, missing: list[dict[str, str]]) -> None:
    if part.required:
        raise error
    missing.append({"part": part.name, "reason": error.title})


def _json(value: Any, scale: int | None) -> Any:
    match value:
        case Decimal():
            exact = value if scale is None else value.quantize(Decimal(1).scaleb(-scale))
            return format(exact if exact == value else value, "f")  # never rounded: a mean shows all its digits
        case date():
            return value.isoformat()
    return value
