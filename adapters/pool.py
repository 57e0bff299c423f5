"""A bounded pool of sessions: decide under the lock, open and close outside it.

It knows nothing of protocols. A session that an error has spoiled (errors.AdapterError.spoils, or any other exception) is closed,
never handed out again. The most recently used session is handed out first, so that idle ones age out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from adapters.errors import AdapterError, DeadlineExceeded, PoolExhausted, Unavailable

T = TypeVar("T")
SHORT = 1.0  # seconds for which a pool that could not grow makes do with the sessions that it has


@dataclass(slots=True)
class _Kept(Generic[T]):
    session: T
    used: int
    since: float


class Pool(Generic[T]):
    """`open(deadline)` makes a session or raises an AdapterError, PoolExhausted when others hold what a session needs: then a caller
    waits for one that is open, if any is. `close(session)` never raises and is bounded;
    `fit(session, idle_seconds)` says whether a kept session may still be used."""

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
    ) -> None:
        self.name, self.size = name, size
        self._open, self._close, self._fit = open, close, fit
        self._idle, self._recycle = idle, recycle_after
        self._free: list[_Kept[T]] = []
        self._made = 0
        self._short_until = 0.0
        self._closed = False
        self._change = threading.Condition()

    @contextmanager
    def lease(self, deadline: float) -> Iterator[T]:
        """A session for the block. Raises PoolExhausted when none came free by `deadline`, Unavailable after close()."""
        kept = self._take(deadline)
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

    def _take(self, deadline: float) -> _Kept[T]:
        while True:
            kept = self._reserve(deadline)
            if kept is None:
                try:
                    return self._make(deadline)
                except PoolExhausted:
                    if not self._fall_short():
                        raise
                    continue
            fit = False
            try:
                idle = time.monotonic() - kept.since
                fit = idle < self._idle and self._fit(kept.session, idle)
            finally:
                if not fit:
                    self._discard(kept)
            if fit:
                return kept
            if time.monotonic() >= deadline:  # looking at what was kept, and closing it, takes time
                raise DeadlineExceeded(f"no kept session of {self.name} was fit for use, and the time was up", backend=self.name)

    def _reserve(self, deadline: float) -> _Kept[T] | None:
        """A kept session, or None: the caller may open one, its place is counted."""
        with self._change:
            while True:
                if self._closed:
                    raise Unavailable(f"{self.name} is shutting down", backend=self.name)
                if self._free:
                    return self._free.pop()
                if self._made < self.size and (not self._made or time.monotonic() >= self._short_until):
                    self._made += 1
                    return None
                left = deadline - time.monotonic()
                if left <= 0:
                    raise PoolExhausted(f"all {self.size} sessions of {self.name} are in use", backend=self.name)
                self._change.wait(left)  # and look again even when it is late: a wake-up that came just then is nobody else's

    def _make(self, deadline: float) -> _Kept[T]:
        try:
            return _Kept(self._open(deadline), 0, time.monotonic())
        except BaseException:
            self._forget()
            raise

    def _fall_short(self) -> bool:
        """No more can be opened for now; whether there is a session to wait for."""
        with self._change:
            self._short_until = time.monotonic() + SHORT
            return self._made > 0

    def _give(self, kept: _Kept[T], whole: bool) -> None:
        worn = self._recycle and kept.used >= self._recycle
        if whole and not worn:
            kept.since = time.monotonic()
            with self._change:
                if not self._closed:
                    self._free.append(kept)
                    self._change.notify()
                    return
        self._discard(kept)

    def _discard(self, kept: _Kept[T]) -> None:
        try:
            self._close(kept.session)
        finally:
            self._forget()

    def _forget(self) -> None:
        with self._change:
            self._made -= 1
            self._change.notify()

    def close(self) -> None:
        """Close what is free now, and each session in use as it comes back."""
        with self._change:
            self._closed = True
            free, self._free = self._free, []
            self._change.notify_all()
        for kept in free:
            self._discard(kept)
