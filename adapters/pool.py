"""A bounded pool of sessions: decide under the lock, open and close outside it.

It knows nothing of protocols. A session that an error has spoiled (errors.AdapterError.spoils, or any other exception) is closed,
never handed out again. The most recently used session is handed out first, so that idle ones age out. A pool that shall look after
sessions at rest (`tick`) has one thread for it, started by the first caller: hence after gunicorn's fork.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from adapters.base import Events
from adapters.errors import AdapterError, DeadlineExceeded, PoolExhausted, Unavailable
from adapters.events import SILENT

T = TypeVar("T")
SHORT = 0.15  # seconds until a pool that could not grow tries again
WARMING = 15.0  # seconds that opening a session ahead of need may take
AT_ONCE = 16  # sessions that close() closes side by side


@dataclass(slots=True, eq=False)
class _Kept(Generic[T]):
    session: T
    used: int
    since: float


class Pool(Generic[T]):
    """`open(deadline)` makes a session or raises an AdapterError, PoolExhausted when others hold what a session needs: then callers wait
    for one to come free, here or there. `close(session)` never raises and is bounded; `fit(session, idle_seconds)` says whether a kept
    session may still be used, `tend(session, idle_seconds)` whether it is to be kept: asked after each use (0 seconds) and every `tick`
    seconds of its rest, when it may do what a session at rest needs. `least` sessions are kept open by `warm`, which is `open` without
    a caller. While one is being opened and others are there, the next one waits until it is open, or for about `gap` seconds."""

    def __init__(
        self,
        name: str,
        open: Callable[[float], T],
        close: Callable[[T], None],
        *,
        size: int,
        idle: float = 600.0,
        recycle_after: int = 0,
        fit: Callable[[T, float], bool] = lambda _session, _idle: True,
        tend: Callable[[T, float], bool] = lambda _session, _idle: True,
        tick: float = 0.0,
        least: int = 0,
        warm: Callable[[float], T] | None = None,
        gap: float = 0.0,
        events: Events = SILENT,
    ) -> None:
        self.name, self.size = name, size
        self._open, self._close, self._fit, self._tend, self._warm = open, close, fit, tend, warm or open
        self._idle, self._recycle, self._tick, self._least, self._gap = idle, recycle_after, tick, least, gap
        self._events = events
        self._free: list[_Kept[T]] = []  # the longest at rest first
        self._made = self._waiting = 0
        self._told = (-1, -1, -1)
        self._grow_at = 0.0
        self._tended = False
        self._closed = False
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._leaving = threading.Event()  # for the pool's own thread, which must not take a caller's wake-up

    @contextmanager
    def lease(self, deadline: float, *, background: bool = False) -> Iterator[T]:
        """A session for the block. Raises PoolExhausted when none came free by `deadline`, Unavailable after close(). In the `background`
        it waits for none, takes none from those who wait, and opens one as `warm` does."""
        kept = self._take(deadline, background)
        kept.used += 1
        whole = False
        try:
            yield kept.session
            whole = True
        except AdapterError as error:
            whole = not error.spoils
            raise
        finally:
            self._give(kept, whole)

    def _take(self, deadline: float, background: bool) -> _Kept[T]:
        short: PoolExhausted | None = None
        while True:
            kept = self._reserve(deadline, short, background)
            if kept is None:
                try:
                    kept = self._make(self._warm if background else self._open, deadline)
                except PoolExhausted as error:
                    if background:
                        raise
                    short = error
                    self._grow_later(SHORT)
                    continue
                if time.monotonic() < deadline:
                    return kept
                self._rest(kept)
            elif self._still(kept, self._fit):
                return kept
            if time.monotonic() >= deadline:  # opening takes time, and so does looking at what was kept, and closing it
                raise DeadlineExceeded(f"no session of {self.name} was ready before the time was up", backend=self.name)

    def _reserve(self, deadline: float, short: PoolExhausted | None, background: bool) -> _Kept[T] | None:
        """A kept session, or None: the caller may open one, its place is counted. `short` is why there was none the last time."""
        with self._lock:
            if self._tick and not self._tended:
                threading.Thread(target=self._look_after, name=f"figway-pool-{self.name}", daemon=True).start()
                self._tended = True
            while True:
                if self._closed:
                    raise Unavailable(f"{self.name} is shutting down", backend=self.name)
                if background and self._waiting:
                    raise PoolExhausted(f"no session of {self.name} is to spare", backend=self.name)
                if self._free:
                    kept = self._free.pop()
                    self._tell()
                    return kept
                now = time.monotonic()
                if self._may_grow(self.size, now):
                    return None
                if now >= deadline or background:
                    raise short or PoolExhausted(f"all {self.size} sessions of {self.name} are in use", backend=self.name)
                self._wait(min(deadline, self._grow_at if self._made < self.size else deadline) - now)

    def _wait(self, seconds: float) -> None:
        """Whoever waited looks again even when it is late: a wake-up that came just then is nobody else's."""
        self._waiting += 1
        self._tell()
        try:
            self._change.wait(seconds)
        finally:
            self._waiting -= 1
            self._tell()

    def _may_grow(self, size: int, now: float) -> bool:
        """Whether one more may be opened now: then its place is taken, and the next one has to wait a little."""
        if self._made >= size or now < self._grow_at:
            return False
        self._made += 1
        self._grow_at = now + self._gap * random.uniform(0.5, 1.5)
        self._tell()
        return True

    def _grow_later(self, seconds: float) -> None:
        with self._lock:
            self._grow_at = time.monotonic() + seconds

    def _make(self, open: Callable[[float], T], deadline: float) -> _Kept[T]:
        try:
            kept = _Kept(open(deadline), 0, time.monotonic())
        except BaseException:
            self._forget()
            raise
        with self._lock:  # it was quick: then so may be the next one
            self._grow_at = 0.0
            self._change.notify()
        return kept

    def _still(self, kept: _Kept[T], check: Callable[[T, float], bool]) -> bool:
        """Whether a session that has rested is good; closed when not."""
        good = False
        try:
            idle = time.monotonic() - kept.since
            good = (idle < self._idle or self._made <= self._least) and check(kept.session, idle)
        finally:
            if not good:
                self._discard(kept)
        return good

    def _give(self, kept: _Kept[T], whole: bool) -> None:
        worn = self._recycle and kept.used >= self._recycle
        if not whole:
            self._events.happened("quarantined", self.name)
        good = False
        try:
            good = whole and not worn and not self._closed and self._tend(kept.session, 0.0)
        finally:
            if not good:
                self._discard(kept)
        if good:
            kept.since = time.monotonic()
            self._rest(kept)

    def _rest(self, kept: _Kept[T]) -> None:
        with self._lock:
            if not self._closed:
                if not self._free or self._free[-1].since <= kept.since:
                    self._free.append(kept)
                else:
                    self._free.insert(next(n for n, other in enumerate(self._free) if other.since > kept.since), kept)
                self._tell()
                if self._waiting:
                    self._change.notify()
                return
        self._discard(kept)

    def _discard(self, kept: _Kept[T]) -> None:
        """Close it; where parting takes turns with the back end (a tended pool), not in the time of a caller who has its answer."""
        if self._tick:
            with suppress(RuntimeError):  # no thread to be had
                threading.Thread(target=self._end, args=(kept,), name=f"figway-pool-{self.name}", daemon=True).start()
                return
        self._end(kept)

    def _end(self, kept: _Kept[T]) -> None:
        try:
            self._close(kept.session)
        finally:
            self._forget()

    def add(self, session: T) -> None:
        """A session that was opened for a caller whose time was up by then."""
        with self._lock:
            self._made += 1
        self._rest(_Kept(session, 0, time.monotonic()))

    def _forget(self) -> None:
        with self._lock:
            self._made -= 1
            if not self._made:
                self._grow_at = 0.0
            self._tell()
            self._change.notify()

    def _tell(self) -> None:
        """What has changed since it was told the last time."""
        (made, used, waiting), self._told = self._told, (self._made, self._made - len(self._free), self._waiting)
        if used != self._told[1]:
            self._events.level("sessions_in_use", self.name, self._told[1])
        if made != self._told[0]:
            self._events.level("sessions", self.name, self._told[0])
        if waiting != self._told[2]:
            self._events.level("sessions_waiting", self.name, self._told[2])

    def _look_after(self) -> None:
        """The pool's own thread."""
        warm_at = 0.0
        while not self._leaving.wait(self._tick):
            with self._lock:
                now = time.monotonic()
                resting, warming = list(self._free), now >= warm_at and not self._closed and self._may_grow(self._least, now)
            for kept in resting:
                self._visit(kept)
            if warming and not self._warmed():
                warm_at = time.monotonic() + WARMING

    def _visit(self, kept: _Kept[T]) -> None:
        """Tend a session at rest, unless a caller has it by now."""
        with self._lock:
            if kept not in self._free:
                return
            self._free.remove(kept)
        try:
            good = self._still(kept, self._tend)
        except Exception:  # noqa: BLE001 - it is closed; whoever opens the next one is told
            return
        if good:
            self._rest(kept)

    def _warmed(self) -> bool:
        try:
            self._rest(self._make(self._warm, time.monotonic() + WARMING))
        except Exception:  # noqa: BLE001 - nobody waits for it; a caller is told
            return False
        return True

    def close(self) -> None:
        """Close what is free now, side by side, and each session in use as it comes back."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
            self._change.notify_all()
        self._leaving.set()
        if free:
            with ThreadPoolExecutor(min(AT_ONCE, len(free)), thread_name_prefix=f"figway-pool-{self.name}") as hands:
                list(hands.map(self._end, free))
