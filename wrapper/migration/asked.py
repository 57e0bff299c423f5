"""One question of a caller, answered by one side: what is to be compared with the other side's answer later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wrapper.migration.compare import Said
from wrapper.operation import Operation, Side
from wrapper.rows import Rows
from wrapper.subjects import Subject


@dataclass(slots=True)
class Asked:
    """It counts as evidence and may be asked again. `trace` is the request's id, by which its caller finds it; `subjects` and `tenant` are
    the request's; `score` gives the score that an answer with these rows instead would have."""

    operation: Operation
    side: Side
    params: Mapping[str, Any] = field(repr=False)
    said: Said = field(repr=False)
    seconds: float
    trace: str = ""
    subjects: tuple[Subject, ...] = ()
    score: Callable[[Rows], Any] | None = field(default=None, repr=False)


def comparable(operation: Operation) -> bool:
    """Whether it may be asked twice: it is a read, and neither side says that it costs or leaves a trace."""
    return operation.effect == "read" and all(s is not None and s.repeat == "allowed" for s in (operation.legacy, operation.modern))
