"""The end of an endpoint's life: what every answer announces beforehand, and what is refused at the end of it.

Dates announce and never refuse: an endpoint is gone when a person has moved it to `retired`, and for the minutes of a brown-out that its
file schedules. Knows no transport and no store: whoever asks says at which stage the endpoint stands and what time it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from email.utils import format_datetime
from urllib.parse import quote

from wrapper.operation import Migration, Operation, Stage
from wrapper.problems import BrownOut, Gone
from wrapper.units import midnight, minute

Headers = Sequence[tuple[str, str]]


def announced(operation: Operation) -> Callable[[Mapping[str, str]], Headers] | None:
    """What makes the headers of the endpoint's every answer from the path's parameters; None when its file announces nothing.

    `Deprecation` may name a day to come (RFC 9745, 2.1); a `Sunset` in the past means now (RFC 8594, 3).
    """
    told = operation.migration or Migration()
    headers: list[tuple[str, str]] = []
    if told.deprecated is not None:
        headers.append(("Deprecation", f"@{midnight(told.deprecated).timestamp():.0f}"))
    if told.sunset is not None:
        headers.append(("Sunset", format_datetime(midnight(told.sunset), usegmt=True)))
    if told.successor is None:
        return (lambda _path: headers) if headers else None
    target = quote(told.successor, safe="/{}?#=&%~:@!$'()*+,;")

    def linked(path: Mapping[str, str]) -> Headers:
        filled = re.sub(r"\{(\w+)\}", lambda hole: quote(str(path[hole[1]]), safe=""), target)
        return [*headers, ("Link", f'<{filled}>; rel="successor-version"')]

    return linked


def refuse(operation: Operation, stage: Stage, now: float) -> None:
    """Raises Gone for what a person has retired, BrownOut while one is on. `now` is seconds since 1970."""
    told = operation.migration or Migration()
    instead = f"; use {told.successor}" if told.successor is not None else ""  # as the file has it: a problem carries no customer's value
    if stage == "retired":
        raise Gone(f"{operation.name} has been switched off{instead}")
    for begin, end in told.brown_outs:
        if begin.timestamp() <= now < end.timestamp():
            day = f" on {told.sunset}" if told.sunset is not None else ""
            raise BrownOut(
                f"this endpoint is to be switched off{day}; this is a scheduled brown-out until {minute(end.timestamp())} UTC{instead}",
                headers={"Retry-After": str(max(1, math.ceil(end.timestamp() - now)))},
            )
