"""The interface between the facade and its back ends, and nothing else.

An adapter kind is a package `adapters/<kind>/` of two modules that the registry imports by name:

    target.py    SYSTEM, TARGET: JSON Schemas of the kind's blocks; compile(): a block -> a frozen Target. No I/O, no heavy import.
    adapter.py   open(): a system's settings -> a live Adapter. The only place that imports the protocol's library.

Adapters know nothing of HTTP serving, marshmallow or models. Records are raw: the back end's own field names, text not yet
normalised; `None` where the back end has nothing. Turning raw into canonical values is the facade's (`wrapper/rows.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from adapters.errors import AdapterError, DeadlineExceeded

Record = Mapping[str, Any]


class Target(Protocol):
    """A compiled `legacy:` or `modern:` block. Its meaning is its kind's own; the loader needs only these two facts."""

    @property
    def uses(self) -> frozenset[str]:
        """Names of the request parameters that the block uses."""

    @property
    def gives(self) -> frozenset[str] | None:
        """Raw field names that its records carry, or None where they are not known before the answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One question to one back end. `deadline` is a time.monotonic() value; every blocking step takes its time-out from left()."""

    operation: str
    target: Any
    params: Mapping[str, Any] = field(repr=False)
    deadline: float
    trace: str = ""
    effect: Literal["read", "idempotent", "write"] = "read"
    repeat: bool = True
    """False: asking again costs or leaves a trace, so nobody does it on their own."""
    acting: Callable[[], None] = field(default=lambda: None, repr=False)
    """Called right before the one act of a write that can't be taken back, by adapters that know it; an AdapterError forbids it."""
    context: Mapping[str, str] = field(default_factory=dict)
    """Headers that tell a back end which trace the call belongs to (W3C), where it takes headers and tracing is on."""
    background: bool = False
    """Nobody waits for it: it takes a place only where one is to spare, and waits for none."""
    key: str = field(default="", repr=False)
    """What makes a write the same write when it is sent again, for back ends that take such a key."""

    def left(self) -> float:
        """Seconds left, always > 0. Raises DeadlineExceeded when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"the deadline passed before {self.operation} was answered")
        return left


@dataclass(frozen=True, slots=True)
class Reply:
    """What a back end said. `as_of` is an ISO date or time when the back end itself states one (a file's business date), `build` its own
    word for which build of it answered, '' where it says none; `pages` is in how many pieces the answer came; `by` is the back end's own
    user who asked, and from which terminal, '' where that is not known."""

    records: tuple[Record, ...] = field(repr=False)
    backend: str
    as_of: str | None = None
    build: str = ""
    pages: int = 1
    by: str = ""


class Adapter(Protocol):
    """A live back end. Thread-safe: many threads call it at once."""

    name: str

    def call(self, call: Call) -> Reply:
        """The answer within call.deadline, or an AdapterError. Never anything else, never later than the deadline plus a second."""

    def probe(self, timeout: float) -> None:
        """Return when the back end can be reached within `timeout` seconds; raise an AdapterError that says why not."""

    def close(self) -> None:
        """Sign off and release everything, in at most 5 seconds; safe to call twice."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A deferred call on its way: `id` names it at the back end (a batch id), `step` is the last one recorded, '' at first."""

    id: str
    call: Call
    step: str = ""


@runtime_checkable
class Deferred(Protocol):
    """A back end that takes now and answers later (file drops)."""

    def submit(self, ticket: Ticket, record: Callable[[str], None]) -> None:
        """Hand the work over. `record(step)` is durable before it returns and is called before each act that can be seen from outside.

        Called again with the step last recorded, it goes on from there; raises OutcomeUnknown when it can't tell
        whether the next act has happened. Any other AdapterError means that the back end has nothing of it.
        """

    def collect(self, tickets: Sequence[Ticket], deadline: float) -> Iterable[tuple[Ticket, Reply | AdapterError]]:
        """Answers that have arrived for any of `tickets`; looks once, does not wait for more. An error beside a ticket is that
        ticket's final answer (a refused batch, a reply that can't be read); an error raised is the back end's, for all of them."""

    def archive(self, ticket: Ticket, deadline: float) -> None:
        """Clear an answer away once it is stored; doing it twice is harmless."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a catalogue's `credentials` refers to. `read(deadline)` is `user:password` as it is now: asked for at each sign-on, kept by
    nobody; raises Misconfigured, DeadlineExceeded. `once`: it is made anew each time, and each is good for one sign-on."""

    read: Callable[[float], str]
    once: bool = False


class Leases(Protocol):
    """Names of which only one holder may exist at a time (an LU), across the workers and hosts of an installation.

    A name that is held is renewed by itself until it is given back, or until its process dies.
    """

    def take(self, names: Sequence[str], holding: int = 0) -> str | None:
        """The first of `names` that was free and is not barred, now ours. None when there is none: the holders of `names` then learn,
        for a second or so, that somebody waits who holds `holding` of them. Raises PoolExhausted when it can't be known."""

    def holds(self, name: str, until: float) -> bool:
        """Whether it is ours and stays so until `until` (monotonic seconds), renewed for that if need be. When not, whoever uses it must
        stop at once: somebody else may have it."""

    def wanted(self, name: str) -> bool:
        """Whether somebody waits who holds fewer than we do, or none: give it back after the present call."""

    def give(self, name: str) -> None:
        """Give it back; harmless when it is not ours."""

    def bar(self, name: str) -> None:
        """Nobody may take it any more, on any host, until an operator says otherwise: its credential was refused. `name#mark` is barred
        too, for who asks with barred(): one credential of a name, while another may be tried."""

    def barred(self, name: str) -> bool:
        """Whether somebody has barred it. Raises PoolExhausted when it can't be known."""


class Events(Protocol):
    """What goes on at the back ends, for whoever measures it. Calls are cheap, never block and never raise.

    Names are those of `wrapper/metrics.py`; a name that it does not know is not counted.
    """

    def happened(self, event: str, system: str) -> None:
        """One more of these."""

    def level(self, gauge: str, system: str, value: float) -> None:
        """How many of these there are now in this process."""

    def took(self, what: str, system: str, seconds: float) -> None:
        """One of these took so long."""


class Files(Protocol):
    """The catalogue folder as an adapter kind may see it: paths are relative to it, and leaving it is refused."""

    def path(self, name: str) -> Path:
        """Raises BadTarget when there is no such file."""

    def text(self, name: str) -> str:
        """The file's text as UTF-8."""

    def yaml(self, name: str) -> Any:
        """The file through the strict loader (plain dict, list, str, int, Decimal, bool, None). Raises BadTarget."""

    def names(self, folder: str, suffix: str) -> Sequence[str]:
        """Files of a folder with this suffix, sorted, relative to the catalogue: `screens/menu.yaml`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in a catalogue: where (`file` None is the block being compiled; `path` are keys and indices into it) and what."""

    path: tuple[str | int, ...]
    message: str
    file: str | None = None


class BadTarget(Exception):
    """A block that can't be compiled, with all its faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f.message for f in faults))
        self.faults = tuple(faults)


class TargetModule(Protocol):
    """What `adapters/<kind>/target.py` offers. SYSTEM and TARGET are JSON Schemas (2020-12) of type object with
    `additionalProperties: false`; they leave out the keys that every block has (`kind`; `system read errors repeat`)."""

    SYSTEM: Mapping[str, Any]
    TARGET: Mapping[str, Any]

    def calls(self, system: Mapping[str, Any]) -> int:
        """How many calls a system takes at once, from the whole installation: its sessions, or the largest that its `pool` may be."""

    def compile(self, block: Mapping[str, Any], system: Mapping[str, Any], files: Files) -> Target:
        """A schema-valid block -> Target. `system` is the system's block, references unresolved. Raises BadTarget."""


class AdapterModule(Protocol):
    """What `adapters/<kind>/adapter.py` offers."""

    def open(self, name: str, system: Mapping[str, Any], files: Files, leases: Leases, events: Events = ...) -> Adapter:
        """A live adapter from a system's block with its references resolved to strings. Connects to nothing yet."""
