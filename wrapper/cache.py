"""A worker's cache: what back ends answered, as canonical rows before scoring and masking, so that no caller sees another's view.

    kept and younger than its ttl    served, with its age
    being asked by somebody else     waited for, within one's own deadline
    otherwise                        asked, and kept
    the back end is down             what is kept and not too old is served, and called stale

Only endpoints that say `limits.cache` take part. A key holds all that an answer depends on: operation, side, the hash of what the catalogue
says of it, every parameter, and how often writes have changed what it reads (its generation, which all workers share). So an answer from
before a write is never found after it, and nobody waits for a question that was put before it. When the store can't tell the generation,
or a write's end is not on record, nothing is served from here and nothing is kept. Errors are not kept: what is missing may be there a
moment later.

A question's leader asks under its own deadline. When it fails for want of time, or of a session, or for a reason of ours, those who waited
ask anew: one of them leads. Whatever the back end itself said is the same for all of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from cachetools import LRUCache

from adapters.base import Events
from adapters.errors import AdapterError, DeadlineExceeded, PoolExhausted, Unavailable
from adapters.events import SILENT
from wrapper.late import Late
from wrapper.operation import Caching, Operation
from wrapper.problems import NotReady, RequestError
from wrapper.request import Side, Terms
from wrapper.rows import Rows

BYTES = 16 * 1024 * 1024
LEAST = 1024  # bytes that an entry counts at least: so there are never more than BYTES / LEAST
SPARED = 1.0  # seconds, and a fifth of what is left at most, that are spared of a deadline to serve stale rows in

Ask = Callable[[float], Rows]
"""Asks the back end, until a deadline."""


class Generations(Protocol):
    """How often writes have changed what operations read, the same for all workers. Both raise NotReady."""

    def generation(self, name: str, writers: Sequence[str] = ()) -> int | None: ...

    def bump(self, names: Sequence[str], within: float = ...) -> None: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows, and when they were asked for, since nobody knows when the back end looked: by the monotonic clock and by the calendar."""

    rows: Rows
    at: float
    moment: float

    def served(self, stale: bool) -> Rows:
        """Stale rows say as of when they are, in the back end's own words if it has some."""
        rows = replace(self.rows, age=time.monotonic() - self.at)
        if not stale:
            return rows
        asked = datetime.fromtimestamp(self.moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return replace(rows, stale=True, as_of=rows.as_of or asked)


class Cache:
    """Thread-safe. Bounded in bytes, roughly, and so in entries; the least recently used goes first."""

    def __init__(
        self, operations: Mapping[str, Operation], generations: Generations, late: Late, events: Events = SILENT, size: int = BYTES
    ) -> None:
        self._late = late
        changed = {name for op in operations.values() for name in op.invalidates}
        self._writers = {name: [op.name for op in operations.values() if name in op.invalidates] for name in changed}
        self._generations, self._events = generations, events
        self._kept: LRUCache[Hashable, Kept] = LRUCache(size, getsizeof=_size)
        self._asked: dict[Hashable, Future[Rows]] = {}
        self._lock = threading.Lock()

    def rows(self, operation: Operation, side: Side, params: Mapping[str, Any], terms: Terms, ask: Ask) -> Rows:
        """What is kept, or what `ask` brings. Whoever wants it `fresh` asks alone; what comes is kept for the others."""
        rule = operation.cache
        key = None if rule is None else self._key(operation, side, params)
        if rule is None or key is None:
            return ask(terms.deadline)
        if terms.fresh:
            return self._fresh(key, ask, terms.deadline)
        kept = self._found(key, rule)
        if kept is not None and time.monotonic() - kept.at < rule.ttl:
            self._events.happened("cache_hit", kept.rows.backend)
            return kept.served(stale=False)
        try:
            return self._together(key, ask, terms.deadline if kept is None else _spared(terms.deadline))
        except (Unavailable, DeadlineExceeded):
            kept = self._found(key, rule)
            if kept is None:
                raise
            self._events.happened("cache_stale", kept.rows.backend)
            return kept.served(stale=True)

    @contextmanager
    def changing(self, operation: Operation) -> Iterator[None]:
        """Around an act: what it changes is not found in any cache from before it on, and again from after it on, however it ended, so
        that a read which crossed it is not either. Raises NotReady before the act only."""
        if operation.invalidates:
            self._generations.bump(operation.invalidates)
        try:
            yield
        finally:
            self.changed(operation)

    def forget(self) -> None:
        """All that is kept."""
        with self._lock:
            self._kept.clear()

    def changed(self, operation: Operation) -> None:
        """What this operation changes has changed. A store that is down is told late; no cache is served from while it is."""
        if operation.invalidates:
            self._late.tell(partial(self._generations.bump, operation.invalidates))

    def _key(self, operation: Operation, side: Side, params: Mapping[str, Any]) -> Hashable:
        """None when the store can't tell the generation, or has a write under way: then nobody knows what is changed when."""
        writers = self._writers.get(operation.name)
        try:
            generation = self._generations.generation(operation.name, writers) if writers else 0
        except NotReady:
            return None
        if generation is None:
            return None
        return operation.name, side, operation.hash, generation, repr(sorted(params.items()))

    def _found(self, key: Hashable, rule: Caching) -> Kept | None:
        """What is kept and may still be served, stale perhaps."""
        with self._lock:
            kept = self._kept.get(key)
        return kept if kept is not None and time.monotonic() - kept.at < rule.ttl + rule.stale_if_down else None

    def _fresh(self, key: Hashable, ask: Ask, deadline: float) -> Rows:
        at, moment = time.monotonic(), time.time()
        rows = ask(deadline)
        with self._lock, suppress(ValueError):  # it is larger than all of the cache
            self._kept[key] = Kept(rows, at, moment)
        self._events.happened("cache_miss", rows.backend)
        return rows

    def _together(self, key: Hashable, ask: Ask, deadline: float) -> Rows:
        """Ask, or wait for whoever is asking the same."""
        while True:
            with self._lock:
                asked = self._asked.get(key)
                if asked is None:
                    mine = self._asked[key] = Future()
            if asked is None:
                return self._lead(key, mine, ask, deadline)
            try:
                rows = asked.result(max(0.0, deadline - time.monotonic()))
            except CancelledError:
                continue
            except TimeoutError:
                raise DeadlineExceeded("the deadline passed while the same question was on its way") from None
            self._events.happened("cache_coalesced", rows.backend)
            return rows

    def _lead(self, key: Hashable, asked: Future[Rows], ask: Ask, deadline: float) -> Rows:
        """The future is told last: whoever comes in between finds the rows, or leads anew."""
        try:
            rows = self._fresh(key, ask, deadline)
        except BaseException as error:
            self._asked.pop(key)
            if _said_by_the_back_end(error):
                asked.set_exception(error)
            else:
                asked.cancel()
            raise
        self._asked.pop(key)
        asked.set_result(rows)
        return rows


def _spared(deadline: float) -> float:
    """The deadline for asking when there are stale rows to fall back on: adapters may be late by a second."""
    return deadline - min(SPARED, (deadline - time.monotonic()) / 5)


def _said_by_the_back_end(error: BaseException) -> bool:
    return isinstance(error, AdapterError | RequestError) and not isinstance(error, DeadlineExceeded | PoolExhausted)


def _size(kept: Kept) -> int:
    """Bytes, roughly: what Python keeps of small values is about four times their text."""
    return max(LEAST, 4 * len(repr(kept.rows.good)))
