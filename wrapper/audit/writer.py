"""This process's way into the audit trail: whoever records waits until it is durable, and all who wait at once share one write.

One thread collects what is queued, appends it with one synchronous write, and wakes those who wait. The queue is bounded, and every wait
too. What can't be written is refused at once; what must not be lost, since it has happened, is kept in memory and written when that is
possible again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from adapters.base import Events
from adapters.events import SILENT
from wrapper import log
from wrapper.audit.chain import Chain
from wrapper.problems import NotReady

ROOM = 4096  # records that may wait
MOST = 1000  # that are kept, and of one write
TICK = 1.0
LAST = 2.0  # seconds that the end of a process waits for its last records
AWAY = "the audit trail can't be written"


class _Record:
    """`n` is its number once it is durable; `done` is released then, or when it is refused."""

    __slots__ = ("body", "done", "keep", "n")

    def __init__(self, body: bytes, keep: bool) -> None:
        self.body, self.keep, self.n = body, keep, 0
        self.done = threading.Lock()
        self.done.acquire()


class Writer:
    """Thread-safe. The thread and the files begin with the first record, hence after a fork."""

    def __init__(self, folder: Path, about: Mapping[str, str], events: Events = SILENT) -> None:
        self.folder, self._about, self._events = folder, about, events
        self.idle: Callable[[], None] = lambda: None
        """Called by the thread about once a second."""
        self._queue: queue.SimpleQueue[_Record | None] = queue.SimpleQueue()
        self._kept: deque[_Record] = deque()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._chain: Chain | None = None
        self._closed = self._failing = False

    def put(self, body: bytes, within: float) -> int:
        """Its number, when it is durable. Raises NotReady when it is not within so many seconds."""
        n = self._given(body, within, keep=False)
        if not n:
            self._events.happened("audit_refused", "figway")
            raise NotReady(AWAY, headers={"Retry-After": "2"})
        return n

    def tell(self, body: bytes, within: float) -> bool:
        """What has happened: whether it is durable by then. If not it is written later."""
        return self._given(body, within, keep=True) > 0

    def offer(self, body: bytes) -> None:
        """Nobody waits for it, and when there is no room for it, it is dropped."""
        self._given(body, 0.0, keep=False)

    def close(self) -> None:
        """All that is queued, and the last line."""
        with self._start:
            self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(LAST)

    def _given(self, body: bytes, within: float, keep: bool) -> int:
        record = _Record(body, keep)
        if self._closed or self._queue.qsize() >= ROOM or not (self._thread is not None or self._begun()):
            if not keep:
                return 0
            self._keep(record)
        else:
            self._queue.put(record)
        if within > 0:
            record.done.acquire(timeout=within)
        return record.n

    def _begun(self) -> bool:
        """Whether there is the thread."""
        with self._start:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="figway-audit", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # none is to be had: the next record tries again
                    return False
                self._thread = thread
        return self._thread is not None

    def _run(self) -> None:
        while self._turn():
            pass
        if self._chain is not None:
            try:
                self._chain.end()
            except OSError as error:
                self._failed(error)
            self._chain.close()

    def _turn(self) -> bool:
        """Write what is there. False when that was the last of it."""
        records, more = self._collected()
        if records:
            self._record(records)
        else:
            self._rest()
        return more

    def _rest(self) -> None:
        """Nothing is to be written, for now: so that a day's segment ends with it, though nobody calls."""
        try:
            self.idle()
            if self._chain is not None:
                self._chain.roll()
        except OSError as error:
            self._failed(error)

    def _collected(self) -> tuple[list[_Record], bool]:
        """What was kept, and what is queued; waits for it."""
        records = [self._kept.popleft() for _ in range(len(self._kept))]
        more = True
        try:
            record = self._queue.get(timeout=TICK)
            while record is not None and len(records) < MOST:
                records.append(record)
                record = self._queue.get_nowait()
            if record is None:
                more = False
            else:
                records.append(record)
        except queue.Empty:
            pass
        return records, more

    def _record(self, records: list[_Record]) -> None:
        began = time.monotonic()
        try:
            if self._chain is None:
                self._chain = Chain(self.folder, self._about)
            first = self._chain.append([record.body for record in records])
        except OSError as error:
            self._failed(error)
            for record in records:
                self._keep(record) if record.keep else record.done.release()
            return
        self._failing = False
        for n, record in enumerate(records, first):
            record.n = n
            record.done.release()
        self._events.took("audit_write", "figway", time.monotonic() - began)
        for _ in records:
            self._events.happened("audit_records", "figway")

    def _failed(self, error: OSError) -> None:
        """Said once; the next record tries again, in another chain if need be."""
        if not self._failing:
            log.get().error("audit", outcome=AWAY, error=type(error).__name__, errno=error.errno)
        self._failing = True
        if self._chain is not None and self._chain.broken:
            self._chain.close()
            self._chain = None

    def _keep(self, record: _Record) -> None:
        if len(self._kept) < MOST and not self._closed:
            self._kept.append(record)
            return
        self._events.happened("audit_lost", "figway")
        log.get().error("audit", outcome="a record of what has happened is lost: the trail can't be written, and too many wait")
