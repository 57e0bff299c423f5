"""The other side, asked after the caller has its answer, and what both said, compared. Nobody waits for any of this.

    due        a read that counts as evidence, answered by a back end just now, at a stage past legacy; of these, the file's sample
    dropped    the queue of this process is full: counted, and gated by `unseen_at_most`
    unasked    the other side has no place to spare, is closed, or its breaker is open: counted and gated too
    skew       they differed, and no more when both were asked again: data moves while it is looked at

All calls here are background calls (adapters.base.Call): they take what is left of a system's places and hours, and wait for nothing.
Legacy is the control and modern the candidate, whichever of them has answered the caller.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.errors import AdapterError, CircuitOpen, Closed, PoolExhausted
from wrapper import log
from wrapper.ledger import Ledger
from wrapper.migration.asked import Asked, Said, failure
from wrapper.migration.compare import Verdict, compare
from wrapper.migration.counted import Answered, Pair, counted, kind_of
from wrapper.migration.facts import Epoch, Sample
from wrapper.migration.rules import Rules, rules
from wrapper.migration.shown import shown
from wrapper.operation import Migration, Operation, Side
from wrapper.problems import NotReady, RequestError
from wrapper.rows import Rows

THREADS, QUEUE = 4, 64
SURE = 3  # times that a kind of difference was confirmed by asking again, after which it is believed at once
_NOT_ASKED = (CircuitOpen, Closed, PoolExhausted, NotReady)

Ask = Callable[[Operation, Side, Mapping[str, Any], float], Rows]
"""Asks one side as a background call, past every cache, until a deadline."""
Lacking = Callable[[Operation, Mapping[str, Any]], frozenset[Side]]
"""The sides that lack a write of what these parameters are about."""


class Shadow:
    """Thread-safe. Its threads begin with the first comparison."""

    def __init__(
        self, ask: Ask, lacking: Lacking, ledger: Ledger, newest_build: Callable[[str], str], dice: Callable[[], float] = random.random
    ) -> None:
        """`newest_build` of an endpoint's modern side is the one that its newest evidence is of."""
        self._ask, self._lacking, self._ledger, self._newest, self._dice = ask, lacking, ledger, newest_build, dice
        self._tasks: queue.Queue[tuple[Asked, bool]] = queue.Queue(QUEUE)
        self._builds: dict[str, str] = {}
        self._epochs: dict[tuple[str, str], Epoch] = {}
        self._sure: Counter[tuple[Epoch, str]] = Counter()  # how often each kind of difference was confirmed
        self._rules: dict[str, Rules] = {}
        self._parts: dict[str, float] = {}  # of the next call to legacy for the noise floor
        self._starting, self._threads, self._stop = threading.Lock(), 0, False

    def after(self, asked: Sequence[Asked]) -> None:
        """The answers of one request have been given. Never waits, never raises."""
        for one in asked:
            migration = one.operation.migration
            if migration is None or not one.due:
                continue
            rate = migration.sample if one.side == "legacy" else migration.sample_modern
            if rate >= 1 or self._dice() < rate:
                self._put(one, itself=False)
            if one.side == "legacy" and self._due(one.operation.name, migration.self_sample):
                self._put(one, itself=True)

    def _due(self, endpoint: str, rate: float) -> bool:
        """Never more often than the rate: it is legacy that pays."""
        with self._starting:
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
        deadline = time.monotonic() + operation.deadline
        legacy = self._answer(operation, "legacy", params, deadline)
        if not legacy.unasked:
            modern = self._answer(operation, "modern", params, deadline)
        if why := legacy.unasked or modern.unasked:
            raise NotReady(f"not compared: {why}; ask again", headers={"Retry-After": "1"})
        pair = self._judged(operation, params, legacy, modern, deadline)
        if pair is None:
            raise NotReady("not compared: what differed could not be read again; ask again", headers={"Retry-After": "1"})
        self._tell(operation, migration, params, pair, None)
        kinds = sorted({f"{d.kind} {d.path} {d.detail}".strip() for d in pair.verdict.differences})
        return {"outcome": pair.verdict.outcome, "differences": kinds, "reason": pair.verdict.reason}

    def waiting(self) -> int:
        """Comparisons that are due and not begun."""
        return self._tasks.qsize()

    def close(self) -> None:
        """What waits is dropped, and counted so."""
        self._stop = True
        while True:
            try:
                asked, itself = self._tasks.get_nowait()
            except queue.Empty:
                return
            self._unseen(asked, itself, "dropped")

    def _put(self, asked: Asked, itself: bool) -> None:
        try:
            self._tasks.put_nowait((asked, itself))
        except queue.Full:
            self._unseen(asked, itself, "dropped")
            return
        if self._threads < THREADS:
            self._grow()

    def _unseen(self, asked: Asked, itself: bool, *names: str) -> None:
        """A comparison that was due and is not made. Of legacy with itself none is missed."""
        if not itself:
            self._ledger.count(self._epoch(asked.operation, asked.said if asked.side == "modern" else None), dict.fromkeys(names, 1))

    def _grow(self) -> None:
        with self._starting:
            if self._threads < THREADS and not self._stop:
                try:
                    threading.Thread(target=self._run, name=f"figway-shadow-{self._threads + 1}", daemon=True).start()
                    self._threads += 1
                except RuntimeError:
                    pass  # no thread to be had: the next one tries again

    def _run(self) -> None:
        while not self._stop:
            try:
                asked, itself = self._tasks.get(timeout=1.0)
            except queue.Empty:
                continue
            try:
                self._do(asked, itself)
            except Exception as error:  # noqa: BLE001 - one comparison's trouble is not the next one's
                log.get().error("shadow", operation=asked.operation.name, outcome=type(error).__name__, exc_info=error)
                self._unseen(asked, itself, "unasked", "unasked:crashed")

    def _do(self, asked: Asked, itself: bool) -> None:
        operation, migration = asked.operation, asked.operation.migration
        assert migration is not None
        deadline = time.monotonic() + operation.deadline
        first = Answered(asked.said, asked.seconds)
        if itself:
            self._noise(operation, asked, deadline)
            return
        second = self._answer(operation, "modern" if asked.side == "legacy" else "legacy", asked.params, deadline)
        if second.unasked:
            self._unseen(asked, itself, "unasked", f"unasked:{second.unasked}")
            return
        legacy, modern = (first, second) if asked.side == "legacy" else (second, first)
        pair = self._judged(operation, asked.params, legacy, modern, deadline)
        if pair is None:
            self._unseen(asked, itself, "unasked", "unasked:again")
            return
        self._tell(operation, migration, asked.params, pair, asked.score)

    def _noise(self, operation: Operation, asked: Asked, deadline: float) -> None:
        """Legacy against itself: what differs here is nobody's fault."""
        again = self._answer(operation, "legacy", asked.params, deadline)
        if again.said is None:
            return
        verdict = compare(asked.said, again.said, operation.fields, self._accepted(operation), operation.shape)
        if verdict.outcome != "skipped":
            epoch = self._epoch(operation, None)
            self._ledger.key(epoch, "self", operation.group, key_of(operation, asked.params), verdict.outcome == "different")
            self._ledger.count(epoch, {"self": 1})

    def _answer(self, operation: Operation, side: Side, params: Mapping[str, Any], deadline: float) -> Answered:
        began = time.monotonic()
        try:
            said: Said = self._ask(operation, side, params, deadline)
        except _NOT_ASKED as error:
            return Answered(None, unasked=type(error).__name__)
        except (AdapterError, RequestError) as error:
            said = failure(error)
        return Answered(said, time.monotonic() - began)

    def _judged(self, operation: Operation, params: Mapping[str, Any], legacy: Answered, modern: Answered, deadline: float) -> Pair | None:
        """A difference is believed when both were asked again, or its kind often was. None when they could not be asked again."""
        assert legacy.said is not None
        assert modern.said is not None
        if self._lacking(operation, params):
            return Pair(legacy, modern, Verdict("skipped", reason="one side lacks a write"))
        accepted = self._accepted(operation)
        first = compare(legacy.said, modern.said, operation.fields, accepted, operation.shape)
        epoch = self._epoch(operation, modern.said)
        if first.outcome != "different" or all(self._sure[epoch, kind_of(met)] >= SURE for met in first.differences):
            return Pair(legacy, modern, first)
        again = [self._answer(operation, side, params, deadline) for side in _BOTH]
        if again[0].said is None or again[1].said is None:
            return None
        second = compare(again[0].said, again[1].said, operation.fields, accepted, operation.shape)
        if second.outcome == "different":
            self._sure.update((epoch, kind_of(met)) for met in second.differences)
        return Pair(again[0], again[1], second, skew=second.outcome == "equal")

    def _tell(
        self, operation: Operation, migration: Migration, params: Mapping[str, Any], pair: Pair, score: Callable[[Rows], Any] | None
    ) -> None:
        epoch, verdict = self._epoch(operation, pair.modern.said), pair.verdict
        if verdict.outcome == "skipped":
            self._ledger.count(epoch, {"skipped": 1, f"skipped:{verdict.reason.partition(':')[0]}": 1})
            return
        different = verdict.outcome == "different"
        counts = counted(pair, migration, score)
        self._ledger.key(epoch, "modern", operation.group, key_of(operation, params), different)
        self._ledger.count(epoch, counts, ("compared", "different") if different else ("compared",))
        for met in verdict.differences:
            self._ledger.sample(Sample(epoch, kind_of(met), shown(met, operation.shape, operation.fields)))

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
            found = self._epochs[operation.name, build] = Epoch(operation.name, build, operation.hash, str(self._accepted(operation)))
        return found

    def _accepted(self, operation: Operation) -> Rules:
        found = self._rules.get(operation.name)
        if found is None:
            found = self._rules[operation.name] = rules(operation.migration.compare if operation.migration else {})
        return found

    def _found(self, endpoint: str) -> str:
        try:
            build = self._builds[endpoint] = self._newest(endpoint)
        except NotReady:
            return ""
        return build


_BOTH: tuple[Side, Side] = ("legacy", "modern")


def comparable(operation: Operation) -> bool:
    """Whether it may be asked twice: it is a read, and neither side says that it costs or leaves a trace."""
    return operation.effect == "read" and all(s is not None and s.repeat == "allowed" for s in (operation.legacy, operation.modern))


def key_of(operation: Operation, params: Mapping[str, Any]) -> str:
    """The sticky key of a request, "" where the endpoint has none."""
    return "" if operation.migration is None else str(params.get(operation.migration.key, ""))
