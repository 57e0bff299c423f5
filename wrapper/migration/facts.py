"""What is known of an endpoint's comparisons, as data: what a worker gathers, what the store keeps, what the gates read.

Evidence is of an Epoch: one build of the modern side, one text of the endpoint's catalogue, one set of rules. A change of any begins
another one, at zero. Keys are customers and the like; the store keeps a keyed digest of each, never the key.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from wrapper.migration.evidence import Seen
from wrapper.subjects import Subject

Feed = Literal["modern", "self"]
"""Which comparison a key was counted in: legacy with modern, or legacy with itself."""
SLICE = 5
"""Seconds: the grain of the recent past, in which a rollback looks."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What evidence belongs to. `rules` is str(Rules); `catalogue` the operation's hash; `build` as modern's answers state it, or ""."""

    endpoint: str
    build: str
    catalogue: str
    rules: str

    @property
    def id(self) -> str:
        text = "\n".join((self.endpoint, self.build, self.catalogue, self.rules))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Sample:
    """A difference for a person to look at. `kind` is its class, path and detail (`value items.balance rounding`); `shown` is JSON-ready
    and masked already: where, control, candidate, rule. `subjects` are those of the request."""

    epoch: Epoch
    kind: str
    shown: Mapping[str, Any] = field(repr=False)
    subjects: tuple[Subject, ...] = ()


@dataclass(slots=True)
class Batch:
    """What one process has seen since it last told the store: added up there, in one transaction.

    `keys`: (epoch, feed, group, key) -> whether it has differed. `counts`: (epoch, name) -> how much more. `recent`: (endpoint, slice,
    name) -> how many more; a slice is unix time // SLICE. `consumers`: (endpoint, consumer, side, day) -> Calls. `at`: what time it is by
    the clock of who has seen it, when it is told; 0 when that is the store's.
    """

    keys: dict[tuple[Epoch, Feed, str, str], bool] = field(default_factory=dict, repr=False)
    counts: defaultdict[tuple[Epoch, str], float] = field(default_factory=lambda: defaultdict(float))
    recent: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    consumers: dict[tuple[str, str, str, str], Calls] = field(default_factory=dict)
    at: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.keys or self.counts or self.recent or self.samples or self.consumers)


@dataclass(slots=True)
class Calls:
    """A consumer's calls of a day: how many, back-end seconds in all, and when the first and the last was (seconds since 1970)."""

    calls: int = 0
    seconds: float = 0.0
    first: float = math.inf
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """An epoch as the store has it. `seen` and `noise` are distinct keys of legacy with modern, and of legacy with itself; `day`: how
    many of `seen.keys` came in the last 24 hours. `counts` by name:

    equal different skipped   comparisons, by their outcome             skew       different, and equal when both were read again
    dropped unasked           comparisons due that were not made        unasked:... skipped:...   the reasons
    asked_modern failed_modern  answers of modern, and errors among them (5xx)
    status=404 pages=2 kind=loan   what compared answers held           took:legacy:N took:modern:N   latencies, see bucket()
    scored score_distance score_flips   scores compared, sum of their distances, decisions that differ
    """

    epoch: Epoch
    began: float
    last: float
    seen: Seen
    noise: Seen
    day: int
    counts: Mapping[str, float]


NOTHING = Facts(Epoch("", "", "", ""), 0.0, 0.0, Seen(), Seen(), 0, {})
"""What is known before the first comparison."""


def bucket(seconds: float) -> int:
    """The latency bucket: bucket n is up to 1.1**n milliseconds."""
    return max(0, math.ceil(math.log(max(seconds, 1e-6) * 1000) / math.log(1.1)))


def quantile(counts: Mapping[str, float], side: str, share: float) -> float | None:
    """Seconds within which `share` of the calls to `side` were answered, to a tenth of it; None when there was none."""
    taken = sorted((int(name.rpartition(":")[2]), n) for name, n in counts.items() if name.startswith(f"took:{side}:"))
    wanted, met = share * sum(n for _, n in taken), 0.0
    for number, n in taken:
        met += n
        if met >= wanted:
            return 1.1**number / 1000
    return None
