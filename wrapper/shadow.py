"""The other side, asked after the caller has its answer, and what both said, compared. Nobody waits for any of this.

    due        a read that counts as evidence, answered by a back end just now, at a stage past legacy; of these, the file's sample, and
               where there is much traffic as many of these, by lot, as there is time for (spare_time.py)
    dropped    the queue of this process is full: counted, and gated by `unseen_at_most`
    unasked    the other side has no place to spare, is closed, or its breaker is open: counted and gated too
    skew       they differed, legacy says something else when it is asked again, and then they agree: data moves while it is looked at

All calls here are background calls (adapters.base.Call): they take what is left of a system's places and hours, and wait for nothing.
Legacy is the control and modern the candidate, whichever of them has answered the caller.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.base import Events
from adapters.events import SILENT
from wrapper import log, subjects
from wrapper.judge import Ask, Judge, Lacking
from wrapper.ledger import Ledger
from wrapper.migration.asked import Asked, comparable
from wrapper.migration.compare import Failure, Said
from wrapper.migration.counted import Answered, Pair, counted, kind_of
from wrapper.migration.decide import key_of
from wrapper.migration.facts import Epoch, Sample
from wrapper.migration.shown import shown
from wrapper.operation import Migration, Operation, other
from wrapper.problems import NotReady, RequestError
from wrapper.rows import Rows
from wrapper.spare_time import Pace, SpareTime

THREADS, QUEUE = 4, 64
ROWS = 20_000  # of answers that wait to be compared: a few large ones are as bad for a process as many
EPOCHS = 1000  # that are known by heart: a modern side whose every answer names another build must not fill the memory


class Shadow:
    """Thread-safe. Its threads begin with the first comparison."""

    def __init__(
        self,
        ask: Ask,
        lacking: Lacking,
        ledger: Ledger,
        newest_build: Callable[[str], str],
        spare: SpareTime,
        events: Events = SILENT,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`newest_build` of an endpoint's modern side is the one that its newest evidence is of."""
        self._judge, self._ledger, self._newest, self._dice = Judge(ask, lacking, spare), ledger, newest_build, dice
        self._events, self._pace = events, Pace()
        self._tasks: deque[tuple[Asked, bool]] = deque()
        self._builds: dict[str, str] = {}
        self._epochs: dict[tuple[str, str], Epoch] = {}
        self._rows = 0  # that wait
        self._dropped: dict[str, tuple[Operation, int]] = {}  # not told to the ledger yet
        self._parts: dict[str, float] = {}  # of the next call to legacy for the noise floor
        self._lock, self._threads, self._stop = threading.Condition(), 0, False

    def after(self, asked: Sequence[Asked]) -> None:
        """The answers of one request have been given. Never waits, never raises."""
        for one in asked:
            migration = one.operation.migration
            if migration is None:
                continue
            rate = migration.sample if one.side == "legacy" else migration.sample_modern
            if (rate >= 1 or self._dice() < rate) and ((part := self._pace.part()) >= 1 or self._dice() < part):
                self._put(one, itself=False)
            if one.side == "legacy" and self._due(one.operation.name, migration.self_sample):
                self._put(one, itself=True)

    def _due(self, endpoint: str, rate: float) -> bool:
        """Never more often than the rate: it is legacy that pays."""
        with self._lock:
            self._parts[endpoint] = self._parts.get(endpoint, 0.0) + rate
            if self._parts[endpoint] < 1:
                return False
            self._parts[endpoint] -= 1
            return True

    def compare_now(self, operation: Operation, params: Mapping[str, Any]) -> dict[str, Any]:
        """One key, compared for a sweep, as evidence like any other: outcome, kinds of differences, reason. Raises NotReady when a system
        has no place to spare just now."""
        migration = operation.migration
        if migration is None or operation.modern is None or not comparable(operation):
            raise RequestError(f"{operation.name} has nothing to compare: it needs two sides that may be read twice, and a migration block")
        until = time.monotonic() + 2 * operation.deadline
        legacy = self._judge.answer(operation, "legacy", params, until)
        if not legacy.unasked:
            modern = self._judge.answer(operation, "modern", params, until)
        if why := legacy.unasked or modern.unasked:
            raise NotReady(f"not compared: {why}; ask again", headers={"Retry-After": "1"})
        pair = self._judge.judged(self._epoch(operation, modern.said), operation, params, legacy, modern, "legacy", until)
        if pair is None:
            raise NotReady("not compared: what has moved meanwhile could not be read again; ask again", headers={"Retry-After": "1"})
        self._tell(operation, migration, params, pair, None)
        kinds = sorted({f"{d.kind} {d.path} {d.detail}".strip() for d in pair.verdict.differences})
        return {"outcome": pair.verdict.outcome, "differences": kinds, "reason": pair.verdict.reason}

    def waiting(self) -> int:
        """Comparisons that are due and not begun."""
        return len(self._tasks)

    def close(self) -> None:
        """What waits is dropped, and counted so."""
        self._stop = True
        while (task := self._taken(0.0)) is not None:
            self._drop(*task)
        self._tell_dropped()

    def _put(self, asked: Asked, itself: bool) -> None:
        size = _size(asked.said)
        with self._lock:
            room = len(self._tasks) < QUEUE and (not self._rows or self._rows + size <= ROWS)
            if room:
                self._rows += size
                self._tasks.append((asked, itself))
                self._lock.notify()
        if not room:
            self._drop(asked, itself)
        elif self._threads < THREADS:
            self._grow()

    def _taken(self, timeout: float) -> tuple[Asked, bool] | None:
        with self._lock:
            if not self._lock.wait_for(lambda: self._tasks, timeout):
                return None
            asked, itself = self._tasks.popleft()
            self._rows -= _size(asked.said)
            return asked, itself

    def _drop(self, asked: Asked, itself: bool) -> None:
        """Of which build that is, the threads find out: it may take a question to the store, for which no caller waits."""
        if not itself:
            name = asked.operation.name
            with self._lock:
                self._dropped[name] = asked.operation, self._dropped.get(name, (asked.operation, 0))[1] + 1

    def _tell_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, {}
        for operation, number in dropped.values():
            self._ledger.count(self._epoch(operation, None), {"dropped": number})
            self._happened("uncompared", operation, number)

    def _unasked(self, asked: Asked, why: str) -> None:
        """A comparison that was due and is not made."""
        epoch = self._epoch(asked.operation, asked.said if asked.side == "modern" else None)
        self._ledger.count(epoch, {"unasked": 1, f"unasked:{why}": 1})
        self._happened("uncompared", asked.operation)

    def _grow(self) -> None:
        with self._lock:
            if self._threads < THREADS and not self._stop:
                try:
                    threading.Thread(target=self._run, name=f"figway-shadow-{self._threads + 1}", daemon=True).start()
                    self._threads += 1
                except RuntimeError:
                    pass  # no thread to be had: the next one tries again

    def _run(self) -> None:
        while not self._stop:
            if self._dropped:
                self._tell_dropped()
            if (task := self._taken(1.0)) is None:
                continue
            asked, itself = task
            began = time.thread_time()
            try:
                self._noise(asked) if itself else self._do(asked)
                self._pace.took(time.thread_time() - began)
            except Exception as error:  # noqa: BLE001 - one comparison's trouble is not the next one's
                log.get().error("shadow", operation=asked.operation.name, outcome=type(error).__name__, exc_info=error)
                if not itself:
                    self._unasked(asked, "crashed")

    def _do(self, asked: Asked) -> None:
        operation, migration = asked.operation, asked.operation.migration
        assert migration is not None
        first = Answered(asked.said, asked.seconds)
        second = self._judge.answer(operation, other(asked.side), asked.params)
        if second.unasked:
            self._unasked(asked, second.unasked)
            return
        legacy, modern = (first, second) if asked.side == "legacy" else (second, first)
        try:
            pair = self._judge.judged(self._epoch(operation, modern.said), operation, asked.params, legacy, modern, asked.side)
        except NotReady as error:
            self._unasked(asked, type(error).__name__)
            return
        if pair is None:
            self._unasked(asked, "again")
        elif not self._stop:  # else it may have been cut off by our own end
            self._tell(operation, migration, asked.params, pair, asked)

    def _noise(self, asked: Asked) -> None:
        """Legacy against itself: what differs here is nobody's fault."""
        operation = asked.operation
        again = self._judge.answer(operation, "legacy", asked.params)
        if again.said is None:
            return
        try:
            verdict = self._judge.compared(operation, asked.said, again.said)
        except NotReady:
            return
        if verdict.outcome != "skipped":
            epoch = self._epoch(operation, None)
            self._ledger.key(epoch, "self", operation.group, key_of(operation, asked.params), verdict.outcome == "different")
            self._ledger.count(epoch, {"self": 1})

    def _tell(self, operation: Operation, migration: Migration, params: Mapping[str, Any], pair: Pair, asked: Asked | None) -> None:
        epoch, verdict = self._epoch(operation, pair.modern.said), pair.verdict
        if verdict.outcome == "skipped":
            self._ledger.count(epoch, {"skipped": 1, f"skipped:{verdict.reason.partition(':')[0]}": 1})
            return
        different = verdict.outcome == "different"
        events = ("compared", "different") if different else ("compared",)
        for event in events:
            self._happened(event, operation)
        counts = counted(pair, migration, asked.score if asked else None)
        if different or isinstance(pair.legacy.said, Rows):  # a key that both refuse is no one's: it shows nothing of those that are
            self._ledger.key(epoch, "modern", operation.group, key_of(operation, params), different)
        self._ledger.count(epoch, counts, events)
        for met in verdict.differences:
            told = shown(met, operation.shape, operation.fields) | {"request_id": asked.trace if asked else ""}
            about = asked.subjects if asked else subjects.of(operation, params)
            self._ledger.sample(Sample(epoch, kind_of(met), told, about))

    def _happened(self, event: str, operation: Operation, times: int = 1) -> None:
        assert operation.modern is not None
        for _ in range(times):
            self._events.happened(event, operation.modern.system)

    def _epoch(self, operation: Operation, modern: Said | None) -> Epoch:
        """An answer without rows does not say which build gave it: the one that was last heard of."""
        if isinstance(modern, Rows):
            build = self._builds[operation.name] = modern.build
        elif (known := self._builds.get(operation.name)) is not None:
            build = known
        else:
            build = self._found(operation.name)
        found = self._epochs.get((operation.name, build))
        if found is None:
            if len(self._epochs) >= EPOCHS:
                self._epochs = {}
            found = self._epochs[operation.name, build] = Epoch(operation.name, build, operation.hash, str(self._judge.accepted(operation)))
        return found

    def _found(self, endpoint: str) -> str:
        try:
            build = self._builds[endpoint] = self._newest(endpoint)
        except NotReady:
            return ""
        return build


def _size(said: Said) -> int:
    """In rows, those within an object counted too."""
    if isinstance(said, Failure):
        return 1
    if len(said.good) != 1:
        return 1 + len(said.good)
    return 2 + sum(len(value) for value in said.good[0].values() if isinstance(value, list | tuple))
