"""Every exception as an RFC 9457 problem: one place where an error becomes an HTTP answer.

A problem says what was expected, what was met and what to do; it never carries a customer's value, a secret, a library's text or a path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.errors import AdapterError, OutcomeUnknown
from scoring.errors import ScoringError

UNKNOWN = 5.0  # seconds of Retry-After where nobody knows better


class RequestError(Exception):
    """The caller's request can't be served as it stands; nothing was asked of any back end."""

    status = 400
    title = "The request can't be understood"

    def __init__(self, detail: str, *, errors: Sequence[Mapping[str, str]] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


class Unauthenticated(RequestError):
    status = 401
    title = "Who are you?"
    guess = True
    """It may have been a guess, unlike a credential that was good and has come to its end."""


class Forbidden(RequestError):
    status = 403
    title = "You may not do this"


class NoSuchThing(RequestError):
    status = 404
    title = "There is no such thing"


class InFlight(RequestError):
    status = 409
    title = "The same request is being served right now"


class Gone(RequestError):
    status = 410
    title = "This endpoint is no more"


class NotKept(RequestError):
    """It was done, its time is over, and nothing of its answer is left; it is not done again."""

    status = 410
    title = "This answer is not kept any more"


class NotPossible(RequestError):
    """It is understood and is not done now; each of `errors` is a reason, where there are several."""

    status = 409
    title = "This is not possible now"

    def __init__(self, said: str, reasons: Sequence[str] = ()) -> None:
        super().__init__(": ".join(filter(None, (said, "; ".join(reasons)))), errors=[{"reason": reason} for reason in reasons])
        self.said, self.reasons = said, tuple(reasons)


class Invalid(RequestError):
    status = 422
    title = "The request's values are not acceptable"


class TooMany(RequestError):
    status = 429
    title = "You ask too often"


class Crowded(RequestError):
    status = 503
    title = "This endpoint is asked as often as it may be"


class NotReady(RequestError):
    status = 503
    title = "The facade can't take this now"


class Unsure(NotReady):
    """The state store may have taken it all the same."""


class BrownOut(RequestError):
    """A rehearsal of the end, on purpose and for a while."""

    status = 503
    title = "This endpoint is switched off for a while"


class Inadequate(RequestError):
    """The answer arrived and its quality gate refused it."""

    status = 502
    title = "The back end's data is not good enough to answer with"


class Internal(RequestError):
    """What an error of ours is shown as."""

    status = 500
    title = "Figway failed"


@dataclass(frozen=True, slots=True)
class Problem:
    """An application/problem+json body with its headers."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def problem(error: Exception, trace: str) -> Problem:
    """What the caller sees of `error`. Anything unknown is a bare 500: its text stays in the log."""
    shown: RequestError | AdapterError | ScoringError
    more: dict[str, Any] = {}
    headers: Mapping[str, str] = {}
    match error:
        case RequestError():
            shown, headers = error, error.headers
            more = {"errors": list(error.errors)} if error.errors else {}
        case AdapterError():
            shown = error
            told = {"outcome": "unknown" if isinstance(error, OutcomeUnknown) else "", "code": error.code, "backend": error.backend}
            more = {name: word for name, word in told.items() if word}
            headers = {"Retry-After": str(max(math.ceil(error.retry_after or UNKNOWN), 1))} if error.status in (429, 503) else {}
        case ScoringError():
            shown = error
        case _:
            shown = Internal("An error of our own; the log has it under this request id.")
    about = {"type": f"/problems/{_slug(shown)}", "title": shown.title, "status": shown.status, "detail": shown.detail}
    return Problem(shown.status, {**about, "request_id": trace, **more}, headers)


def _slug(error: Exception) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
