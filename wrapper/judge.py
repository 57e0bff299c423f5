"""Both sides of one question, asked while nobody waits, and whether a difference between them is one.

A difference is believed when legacy, asked again, says the same; when its kind often was; or when nobody can look again. One that modern
alone does not repeat is believed: it might have told a caller either. Legacy is the control and modern the candidate, whichever of them
was asked first.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from adapters.errors import AdapterError, CircuitOpen, Closed, PoolExhausted
from wrapper import log
from wrapper.migration.compare import Failure, Said, Verdict, compare, failure
from wrapper.migration.counted import Answered, Pair, kind_of
from wrapper.migration.facts import Epoch
from wrapper.migration.rules import Rules, rules
from wrapper.operation import Operation, Side
from wrapper.problems import NotReady, RequestError
from wrapper.rows import Rows
from wrapper.spare_time import SpareTime

SURE = 3  # times that a kind of difference was confirmed by asking again, after which it is believed at once
MOST = 10_000  # kinds that are known to be so
_NOT_ASKED = (CircuitOpen, Closed, PoolExhausted, NotReady)

Ask = Callable[[Operation, Side, Mapping[str, Any], float], tuple[Rows, float]]
"""Asks one side as a background call, past every cache, until a deadline; what it says, and in how many seconds."""
Lacking = Callable[[Operation, Mapping[str, Any]], frozenset[Side]]
"""The sides that lack a write of what these parameters are about."""


class Judge:
    """Thread-safe."""

    def __init__(self, ask: Ask, lacking: Lacking, spare: SpareTime) -> None:
        self._ask, self._lacking, self._spare = ask, lacking, spare
        self._sure: Counter[tuple[Epoch, str]] = Counter()  # how often each kind of difference was confirmed
        self._rules: dict[str, Rules] = {}

    def accepted(self, operation: Operation) -> Rules:
        """What its file overlooks."""
        found = self._rules.get(operation.name)
        if found is None:
            found = self._rules[operation.name] = rules(operation.migration.compare if operation.migration else {})
        return found

    def answer(self, operation: Operation, side: Side, params: Mapping[str, Any], until: float = math.inf) -> Answered:
        """Each has the endpoint's whole time: what another has left of it would make a time-out of what is none. But somebody may wait
        for all of it `until` then (monotonic seconds)."""
        began = time.monotonic()
        try:
            return Answered(*self._ask(operation, side, params, min(began + operation.deadline, until)))
        except _NOT_ASKED as error:
            return Answered(None, unasked=type(error).__name__)
        except (AdapterError, RequestError) as error:
            said: Said = failure(error)
        except Exception as error:
            if side == "legacy":
                raise
            log.get().error("shadow", operation=operation.name, side=side, outcome=type(error).__name__, exc_info=error)
            said = failure(error)  # callers of this side would have got a 500
        return Answered(said, time.monotonic() - began)

    def compared(self, operation: Operation, control: Said | None, candidate: Said | None) -> Verdict:
        """Both were asked. Raises NotReady when there is no time to spare for it."""
        assert control is not None
        assert candidate is not None
        with self._spare:
            return compare(control, candidate, operation.fields, self.accepted(operation), operation.shape)

    def judged(
        self,
        epoch: Epoch,
        operation: Operation,
        params: Mapping[str, Any],
        legacy: Answered,
        modern: Answered,
        first: Side,
        until: float = math.inf,
    ) -> Pair | None:
        """`first` was asked before the other. None when the data have moved meanwhile, and what modern says of them now is not to be had.
        Raises NotReady."""
        met = self._verdict(operation, params, legacy, modern)
        if met.outcome != "different" or self._certain(epoch, modern, met):
            return Pair(legacy, modern, met)
        if first == "modern":  # what moved between the two, only legacy has seen: so modern has another turn
            again = self.answer(operation, "modern", params, until)
            if again.said is None:
                return Pair(legacy, modern, met)
            modern, met = again, self._verdict(operation, params, legacy, again)
            if met.outcome != "different":
                return Pair(legacy, modern, met, skew=met.outcome == "equal")
        return self._looked_again(epoch, operation, params, Pair(legacy, modern, met), until)

    def _looked_again(self, epoch: Epoch, operation: Operation, params: Mapping[str, Any], pair: Pair, until: float) -> Pair | None:
        """Where legacy was asked before modern: what differs is real when legacy has not moved since."""
        control = self.answer(operation, "legacy", params, until)
        if control.said is None or (isinstance(control.said, Failure) and control.said.status >= 500):
            return pair
        if self.compared(operation, pair.legacy.said, control.said).outcome == "equal":
            if len(self._sure) < MOST:
                self._sure.update((epoch, kind_of(each)) for each in pair.verdict.differences)
            return pair
        modern = self.answer(operation, "modern", params, until)
        if modern.said is None:
            return None
        met = self._verdict(operation, params, control, modern)
        return Pair(control, modern, met, skew=met.outcome == "equal")

    def _verdict(self, operation: Operation, params: Mapping[str, Any], legacy: Answered, modern: Answered) -> Verdict:
        if self._lacking(operation, params):
            return Verdict("skipped", reason="one side lacks a write")
        return self.compared(operation, legacy.said, modern.said)

    def _certain(self, epoch: Epoch, modern: Answered, met: Verdict) -> bool:
        """No data that move make an error, and what was confirmed so often needs no further call to legacy."""
        if isinstance(modern.said, Failure) and modern.said.status >= 500:
            return True
        return all(self._sure[epoch, kind_of(each)] >= SURE for each in met.differences)
