"""What the store tells, as data: reservations of writes, and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from wrapper.state.clock import me

WriteState = Literal["new", "in_flight", "mismatch", "done", "unknown"]
Review = Literal["", "open", "upheld", "overturned"]
JobState = Literal["accepted", "publishing", "published", "replied", "failed", "unknown", "poisoned"]


@dataclass(frozen=True, slots=True)
class WriteId:
    """An idempotency key in its scope: one caller's, for one operation. `owner` is who has reserved it: a process by its me(), with
    something more where one process may reserve the same key again and must not take its own earlier try for the present one."""

    caller: str
    operation: str
    key: str
    owner: str = field(default_factory=me, compare=False)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A write whose end nobody has seen: its process is `gone`, or heard nothing. `left` is how many seconds it is reserved for yet;
    `intent` is what was kept for settling it, None when it did not come to that or all has been tried: then it is not `open`."""

    id: WriteId
    created: float
    open: bool
    gone: bool
    left: float
    intent: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What the store knows of a write before it begins: `new` is ours to do; `answer` and `job` are of an earlier one, and so is
    `unsettled`, an unknown one that may yet be settled."""

    state: WriteState
    answer: Any = field(default=None, repr=False)
    job: str | None = None
    unsettled: Unsettled | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A deferred call; what was sent and what was answered stay sealed until Store.params and Store.answer are asked.

    `error` is a problem body when the state is failed, unknown or poisoned.
    """

    id: str
    caller: str
    operation: str
    trace: str
    state: JobState
    step: str
    attempts: int
    created: float
    updated: float
    expect_by: float
    error: Mapping[str, Any] | None

    @property
    def untouched(self) -> bool:
        """No act that can be seen from outside was ever begun: only such a job can be called failed or poisoned by its publisher."""
        return self.state == "accepted"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of somebody by a model's score. `made` has the score, outcome, features and reasons; `words` are the person's, `why`
    is the reviewer's; `subject` are the fingerprints of whom it is about, with a blank between."""

    id: str
    principal: str
    tenant: str
    operation: str
    model: str
    catalogue: str
    created: float
    made: Mapping[str, Any] = field(repr=False)
    review: Review
    asked_by: str
    words: str | None = field(repr=False)
    reviewer: str
    why: str | None = field(repr=False)
    changed: float
    subject: str = ""


class LeaseLost(Exception):
    """Another worker has taken the job over: stop touching it."""
