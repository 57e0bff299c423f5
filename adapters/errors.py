"""What can go wrong behind an adapter, as a tree of errors that know their HTTP status.

    AdapterError
    |-- Unavailable 503           nothing was done; asking again may help
    |   |-- PoolExhausted         every session, or place in the queue for one, is in use
    |   |   `-- Overused          it was asked as often as it may be; 429 when it is the caller who has had its share
    |   |-- CircuitOpen           it failed too often a moment ago and is left alone for a while
    |   `-- Closed                outside the system's hours, or its region is closed
    |-- DeadlineExceeded 504      our time ran out; for a read nothing is lost
    |-- OutcomeUnknown 504        a write was sent and its confirmation was not seen
    |-- Refused 422               the back end, or its field sizes, will not take this value
    |   |-- Conflict 409          somebody else changed it first
    |   `-- PreconditionFailed 412   it is not what the caller expected it to be
    |-- Missing 404               there is no such thing
    |-- Misread 502               what came back is not what the definitions say: never retried
    |-- Failed 502                the back end says that it failed (abend, fault)
    `-- Misconfigured 502         our own fault: a credential, a host key, a definition
        `-- BadLogon              the back end refused our credential

Library exceptions are mapped to these at each adapter's edge, in one place per adapter. `detail` is shown to callers and logged:
it names fields, positions and shapes, never a value of a customer, a secret, a path or a library's own text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class AdapterError(Exception):
    """A call that has no answer; `status` is its HTTP status and `retry` whether asking again may help.

    `spoils` says whether the session that the call used can be trusted afterwards: a clean refusal leaves it
    usable, everything else makes the pool close it. `retry_after` is in how many seconds asking again makes sense, where that is known.
    """

    status = 502
    retry = False
    spoils = True
    title = "The back end could not answer"

    def __init__(self, detail: str, *, backend: str = "", code: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.backend = backend
        self.code = code
        self.retry_after = retry_after


class Unavailable(AdapterError):
    status = 503
    retry = True
    title = "The back end is unavailable"


class PoolExhausted(Unavailable):
    title = "Every session of the back end is in use"


class Overused(PoolExhausted):
    title = "The back end is asked as often as it may be"


class CircuitOpen(Unavailable):
    spoils = False
    title = "The back end failed too often and is left alone for a while"


class Closed(Unavailable):
    title = "The back end is closed"


class DeadlineExceeded(AdapterError):
    status = 504
    title = "The back end did not answer in time"


class OutcomeUnknown(AdapterError):
    status = 504
    title = "The write was sent and its outcome is unknown"


class Refused(AdapterError):
    status = 422
    spoils = False
    title = "The back end does not accept this"


class Conflict(Refused):
    status = 409
    title = "Somebody else changed it first"


class PreconditionFailed(Refused):
    status = 412
    title = "It is not what the caller expected"


class Missing(AdapterError):
    status = 404
    spoils = False
    title = "There is no such thing"


class Misread(AdapterError):
    title = "The back end's answer is not what its definition says"


class Failed(AdapterError):
    title = "The back end failed"


class Misconfigured(AdapterError):
    title = "The facade's access to the back end is misconfigured"


class BadLogon(Misconfigured):
    title = "The back end refused the facade's credential"


BY_STATUS: Mapping[int, type[AdapterError]] = {
    404: Missing, 409: Conflict, 412: PreconditionFailed, 422: Refused, 502: Failed, 503: Unavailable, 504: DeadlineExceeded,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One line of a source's `errors:` block: when all of `when` holds, the answer is this error."""

    name: str
    when: Mapping[str, str]
    status: int
    retry: bool = False
    detail: str = ""

    def error(self, backend: str) -> AdapterError:
        error = BY_STATUS.get(self.status, Failed)(self.detail or f"{backend} answered: {self.name}", backend=backend, code=self.name)
        error.status, error.retry = self.status, self.retry
        return error


def matching(rules: Sequence[ErrorRule], facts: Mapping[str, str], *, contains: bool = False) -> ErrorRule | None:
    """The first rule whose every `when` holds in `facts`: equal after stripping, or contained (screens)."""
    for rule in rules:
        if all(
            name in facts and (text in facts[name] if contains else text.strip() == facts[name].strip()) for name, text in rule.when.items()
        ):
            return rule
    return None


def rules(block: Mapping[str, Any]) -> tuple[ErrorRule, ...]:
    """The `errors:` of a block, in their order."""
    return tuple(
        ErrorRule(
            name,
            {fact: str(text) for fact, text in rule.get("when", {}).items()},
            rule["status"],
            rule.get("retry", False),
            rule.get("detail", ""),
        )
        for name, rule in block.get("errors", {}).items()
    )
