"""What a process has seen of its traffic, on its way to the state store: added up in memory, told twice a second by one thread.

Nothing here holds up or fails a request. What a killed process has not told was not counted by anybody; while the store is away it waits,
up to MOST keys, and what comes beyond that is counted as dropped. It is told in portions: a store that has come back, perhaps a slow one,
could not take all of it within its bound, and others write there too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from wrapper import log
from wrapper.migration.facts import SLICE, Batch, Calls, Epoch, Feed, Sample
from wrapper.operation import Operation, Side
from wrapper.problems import NotReady, Unsure
from wrapper.units import DAY, day

FLUSH = 0.5
CALLS = 5.0  # seconds that mere calls wait: nothing is decided by them
MOST, SAMPLES = 50_000, 500  # keys that wait for the store (and as many more that differ), and samples
PORTION = 2000  # keys in one transaction
RECENT = 3600  # seconds of the recent past that wait for the store: nobody decides by what is older


class Told(Protocol):
    """The state store's side."""

    def record(self, batch: Batch, within: float = ...) -> None: ...


class Ledger:
    """Thread-safe. The thread begins with the first thing to tell."""

    def __init__(self, store: Told, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        self._batch, self._lock = Batch(), threading.Lock()
        self._telling, self._stop, self._thread = threading.Lock(), threading.Event(), False
        self._flushed = 0.0
        self._day, self._tomorrow = "", 0.0

    def served(self, operation: Operation, consumer: str, side: Side, seconds: float, failed: bool, tracked: bool) -> None:
        """A caller's request was answered by this side; `seconds` of its back end, 0 for what was kept. `tracked`: it counts
        for a rollback."""
        now = self._clock()
        if now >= self._tomorrow:
            self._day, self._tomorrow = day(now), (now // DAY + 1) * DAY
        slice = int(now) // SLICE
        with self._lock:
            at = operation.name, consumer, side, self._day
            calls = self._batch.consumers.get(at)
            if calls is None:
                calls = self._batch.consumers[at] = Calls()
            calls.calls += 1
            calls.seconds += seconds
            calls.first, calls.last = min(calls.first, now), now
            if tracked:
                self._batch.recent[operation.name, slice, f"served:{side}"] += 1
                if failed:
                    self._batch.recent[operation.name, slice, f"failed:{side}"] += 1
        self._begin()

    def count(self, epoch: Epoch, counts: Mapping[str, float], recent: tuple[str, ...] = ()) -> None:
        """More of each of `counts`; `recent` are counted for the endpoint's recent past too."""
        slice = int(self._clock()) // SLICE
        with self._lock:
            for name, number in counts.items():
                if number:
                    self._batch.counts[epoch, name] += number
            for name in recent:
                self._batch.recent[epoch.endpoint, slice, name] += 1
        self._begin()

    def key(self, epoch: Epoch, feed: Feed, group: str, key: str, differed: bool) -> None:
        """A key was compared. One that has differed once stays so."""
        with self._lock:
            _note(self._batch, (epoch, feed, group, key), differed)
        self._begin()

    def sample(self, sample: Sample) -> None:
        with self._lock:
            if len(self._batch.samples) < SAMPLES:
                self._batch.samples.append(sample)
        self._begin()

    def flush(self) -> bool:
        """Tell the store all that is there; False when it is away, and all is kept."""
        with self._telling:
            with self._lock:
                batch, self._batch = self._batch, Batch()
                self._flushed = time.monotonic()
            left = list(_portions(batch)) if batch else []
            while left:
                left[0].at = self._clock()
                try:
                    self._store.record(left[0])
                except NotReady as error:
                    unsure = isinstance(error, Unsure)  # keys count once, however often they are told; sums would be counted twice
                    self._keep([Batch(keys=left[0].keys), *left[1:]] if unsure else left)
                    return False
                except Exception as error:  # noqa: BLE001 - told once: the same batch would fail again
                    log.get().error("ledger", outcome=type(error).__name__, exc_info=error)
                del left[0]
            return True

    def close(self) -> None:
        """The last flush."""
        self._stop.set()
        self.flush()

    def _keep(self, left: Sequence[Batch]) -> None:
        """What could not be told comes before what has come since."""
        oldest = (int(self._clock()) - RECENT) // SLICE
        with self._lock:
            kept = Batch()
            for batch in (*left, self._batch):
                _add(kept, batch, oldest)
            self._batch = kept

    def _begin(self) -> None:
        if self._thread or self._stop.is_set():
            return
        with self._lock:
            if self._thread:
                return
            try:
                threading.Thread(target=self._run, name="figway-ledger", daemon=True).start()
                self._thread = True
            except RuntimeError:
                pass  # no thread to be had: the next one tries again

    def _run(self) -> None:
        while not self._stop.wait(FLUSH):
            batch = self._batch
            if batch.keys or batch.counts or batch.recent or batch.samples or time.monotonic() - self._flushed >= CALLS:
                self.flush()


def _portions(batch: Batch) -> Iterator[Batch]:
    """The first has all that is no key."""
    keys = list(batch.keys.items())
    yield replace(batch, keys=dict(keys[:PORTION]))
    for at in range(PORTION, len(keys), PORTION):
        yield Batch(keys=dict(keys[at : at + PORTION]))


def _note(batch: Batch, key: tuple[Epoch, Feed, str, str], differed: bool) -> None:
    known = batch.keys.get(key)
    if known is not None or len(batch.keys) < (2 if differed else 1) * MOST:
        batch.keys[key] = differed or bool(known)
    elif key[1] == "modern":
        batch.counts[key[0], "dropped"] += 1


def _add(kept: Batch, batch: Batch, oldest: int) -> None:
    for key, differed in batch.keys.items():
        _note(kept, key, differed)
    for counted, number in batch.counts.items():
        kept.counts[counted] += number
    kept.recent.update({place: number for place, number in batch.recent.items() if place[1] >= oldest})
    kept.samples.extend(batch.samples[: SAMPLES - len(kept.samples)])
    for at, calls in batch.consumers.items():
        known = kept.consumers.setdefault(at, Calls())
        known.calls, known.seconds = known.calls + calls.calls, known.seconds + calls.seconds
        known.first, known.last = min(known.first, calls.first), max(known.last, calls.last)
