"""What is told of each request and of each back-end call: one log line, its metrics and, where tracing is on, a span.

Names, counts, times and outcomes only: whatever is told here knows no value of a request or a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from adapters.base import Adapter, Call, Reply
from adapters.errors import AdapterError
from wrapper import log
from wrapper.metrics import Metrics
from wrapper.operation import Operation, Source
from wrapper.tracing import Served, Tracing

NOWHERE = "none"  # the operation of a request that no endpoint took


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The metrics of this process, and its spans when there are any."""

    metrics: Metrics
    tracing: Tracing | None = None

    def begin(self, endpoint: str | None, header: Callable[[str], str | None]) -> Served | None:
        """A request has come."""
        return self.tracing.begin(endpoint or NOWHERE, header) if self.tracing is not None else None

    def end(self, served: Served | None, method: str, endpoint: str | None, side: str, status: int, seconds: float, **about: Any) -> None:
        """It was answered; `about` is for the log line alone."""
        self.metrics.request(endpoint or NOWHERE, side, status, seconds)
        log.get().info("request", method=method, endpoint=endpoint, status=status, elapsed=round(seconds, 4), **about)
        if self.tracing is not None and served is not None:
            self.tracing.end(served, method, status)

    def asking(self, operation: Operation, side: str, source: Source) -> Asking:
        """How this side of the operation is asked."""
        return Asking(self, operation.name, side, source.system, operation.deadline)


@dataclass(frozen=True, slots=True)
class Asking:
    """The one place that asks a back end. `whole` is the operation's deadline, of which a share is left at the end."""

    telemetry: Telemetry
    operation: str
    side: str
    system: str
    whole: float

    def __call__(self, adapter: Adapter, call: Call) -> Reply:
        """The back end's answer; a warning in the log when it is at fault."""
        tracing = self.telemetry.tracing
        if tracing is None:
            return self._ask(adapter, call)
        with tracing.call(self.operation, self.system, self.side):
            return self._ask(adapter, replace(call, context=tracing.carried()))

    def _ask(self, adapter: Adapter, call: Call) -> Reply:
        began = time.monotonic()
        try:
            reply = adapter.call(call)
        except AdapterError as error:
            error.backend = error.backend or self.system
            self._tell(call, began, type(error).__name__, error)
            raise
        except Exception:
            self._tell(call, began, "crashed")
            raise
        self._tell(call, began, "ok")
        return reply

    def _tell(self, call: Call, began: float, outcome: str, error: AdapterError | None = None) -> None:
        now = time.monotonic()
        left = min(max((call.deadline - now) / self.whole, 0.0), 1.0)
        self.telemetry.metrics.call(self.system, self.operation, self.side, outcome, now - began, left)
        if self.telemetry.tracing is not None:
            self.telemetry.tracing.outcome(outcome, left)
        say = log.get().info if outcome == "ok" or (error is not None and not error.spoils) else log.get().warning
        say(
            "backend", operation=self.operation, system=self.system, side=self.side, outcome=outcome, elapsed=round(now - began, 4),
            request_id=call.trace, **({} if error is None else {"detail": error.detail}),
        )  # fmt: skip
