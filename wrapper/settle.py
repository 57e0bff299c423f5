"""What became of a write that nobody saw the end of: found out by asking the read that it names, never by writing again.

    before = wanted     can't be told: it was so already
    now = wanted        done; the answer is what was asked for
    now = before        not done: its key is free again
    anything else       can't be told: somebody has changed it since

`before` is read ahead of the write and kept, sealed, with the reservation right before the act that can't be taken back: a reservation that
lacks it never came to that. Not done is said only when nothing of the write can be under way any more: its deadline has passed by GRACE, or
by MARGIN when its process has died, and its session with it. What can't be told then stays unknown for good. Until then no other write
of the same thing overtakes the one of a dead process: it could not be told any more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Literal

from adapters import template
from adapters.errors import AdapterError, DeadlineExceeded, Unavailable
from wrapper import log
from wrapper.operation import Ask, Catalogue, Operation, Side
from wrapper.problems import InFlight, RequestError
from wrapper.request import Given, Terms
from wrapper.rows import Rows
from wrapper.state.records import Unsettled, WriteId
from wrapper.state.store import Store

GRACE = 30.0  # seconds after a write's deadline in which the back end may still be busy with it
MARGIN = 1.0
SECONDS = 10.0  # for asking, where no caller waits
AGAIN = 15.0  # seconds between two tries while the back end can't be asked

Values = Mapping[str, str]
Verdict = Literal["done", "not done", "never begun", "unknown", "nobody to ask"]
Read = Callable[[str, Side, Mapping[str, Any], Terms], tuple[Operation, Rows]]
Load = Callable[[Operation, Given], dict[str, Any]]
Dump = Callable[[Operation, Mapping[str, Any]], Any]


def verdict(before: Values | None, now: Values, wanted: Values) -> Verdict:
    """See the module; `before` is None when it could not be read, and of other fields when the endpoint shows others since."""
    if before is None or before == wanted or before.keys() != wanted.keys():
        return "unknown"
    if now == wanted:
        return "done"
    return "not done" if now == before else "unknown"


def over(write: Unsettled) -> bool:
    """Whether nothing of it can be under way any more."""
    return write.left < (GRACE - MARGIN if write.gone else 0.0)


def again(write: Unsettled) -> dict[str, str]:
    """The header that says when a dead process's write will be over."""
    return {"Retry-After": str(max(1, math.ceil(write.left - (GRACE - MARGIN))))}


class Settling:
    """Looks before a write, and after one whose outcome is unknown. `changed` tells the caches of what a write may have changed."""

    def __init__(
        self, catalogue: Catalogue, store: Store, read: Read, load: Load, dump: Dump, changed: Callable[[Operation], None],
        note: Callable[..., object] = lambda *_, **__: None,
    ) -> None:  # fmt: skip
        """`note` puts on record what has become of a write: it closes an intent that has no outcome."""
        self._note = note
        self._operations, self._store = catalogue.operations, store
        self._read, self._load, self._dump, self._changed = read, load, dump, changed
        self._rest: dict[WriteId, float] = {}  # when it may be tried again

    def intent(self, operation: Operation, side: Side, given: Given, params: Mapping[str, Any], terms: Terms) -> dict[str, Any] | None:
        """What must be known to settle this write later; None when its side names no read. Raises InFlight when an earlier write of the
        same thing must be settled first, and Unavailable when what is there now can't be read: nobody could tell afterwards what became
        of the write. Where the read says that something is wrong with the request, the write is left to say so itself."""
        ask = _ask(operation, side)
        if ask is None:
            return None
        self._wait_for_earlier(operation, side, ask, params, terms)
        try:
            before = self._look(ask, side, params, terms.within((terms.deadline - time.monotonic()) / 2))[0]
        except (Unavailable, DeadlineExceeded) as error:
            unread = "the write was not begun: what is there before it could not be read"
            raise Unavailable(unread, backend=error.backend, retry_after=error.retry_after) from error
        except (AdapterError, RequestError):
            before = None
        return {"given": asdict(given), "before": before, "trace": terms.trace, "side": side}

    def shows(self, operation: Operation, side: Side, params: Mapping[str, Any], intent: Mapping[str, Any] | None) -> bool:
        """Whether it is there already, as was looked for its intent."""
        ask = _ask(operation, side)
        return ask is not None and intent is not None and intent["before"] == _wanted(ask, params)

    def settle(self, write: Unsettled, terms: Terms) -> Verdict | None:
        """Ask, and note what is known now: None when that is nothing new. Raises AdapterError or RequestError when nobody can be asked, or
        the store not be told."""
        operation = self._operations.get(write.id.operation)
        if operation is None:
            return None  # it may come back with the next catalogue
        outcome, answer = self._outcome(operation, write, terms)
        if outcome == "done":
            self._store.found_done(write, answer)
        elif outcome == "never begun" or (outcome == "not done" and over(write)):
            self._store.found_undone(write)
        elif outcome == "nobody to ask" or over(write):
            self._store.found_nothing(write)
        else:
            return None
        self._changed(operation)
        trace = (write.intent or {}).get("trace", "")
        self._note("settled", who=write.id.caller, op=operation.name, outcome=outcome, request=trace)
        return outcome

    def turn(self, now: float) -> None:
        """Settle a write that can be settled `now` (monotonic seconds), if there is any: of those that were left alone for longest the
        oldest, so that those that nobody can be asked about keep none of the others waiting."""
        writes = self._store.unsettled()
        self._rest = {write.id: self._rest.get(write.id, 0.0) for write in writes}
        write = min(writes, key=lambda w: self._rest[w.id], default=None)
        if write is None or self._rest[write.id] > now:
            return
        self._rest[write.id] = now + AGAIN
        trace = (write.intent or {}).get("trace", "")
        outcome = self.settle(write, Terms(now + SECONDS, trace))
        log.get().info("write", operation=write.id.operation, outcome=f"settled: {outcome or 'not yet'}", request_id=trace)

    def _outcome(self, operation: Operation, write: Unsettled, terms: Terms) -> tuple[Verdict, Any]:
        if write.intent is None:  # of one without an owner, which the first version reserved, that tells nothing
            return ("never begun" if write.id.owner else "nobody to ask"), None
        params, side = self._params(operation, write), _side(write)
        ask = _ask(operation, side)
        if ask is None or params is None:
            return "nobody to ask", None
        now, row = self._look(ask, side, params, terms)
        said = verdict(write.intent["before"], now, _wanted(ask, params))
        return said, self._answer(operation, params, row) if said == "done" else None

    def _params(self, operation: Operation, write: Unsettled) -> dict[str, Any] | None:
        """None when the endpoint has changed since: what was wanted then would mean something else now, or it did not say how to ask."""
        if not write.intent:
            return None
        try:
            return self._load(operation, Given(**write.intent["given"]))
        except RequestError:
            return None

    def _wait_for_earlier(self, operation: Operation, side: Side, ask: Ask, params: Mapping[str, Any], terms: Terms) -> None:
        for earlier in self._store.unsettled():
            if not earlier.gone or earlier.id.operation != operation.name or _side(earlier) != side:
                continue
            theirs = self._params(operation, earlier)
            if theirs is None or template.filled(ask.params, theirs) != template.filled(ask.params, params):
                continue
            settled = None
            with suppress(AdapterError):
                settled = self.settle(earlier, terms.within((terms.deadline - time.monotonic()) / 3))
            if settled is None:
                raise InFlight("an earlier write of the same thing was cut short and is being settled; ask again", headers=again(earlier))

    def _look(self, ask: Ask, side: Side, params: Mapping[str, Any], terms: Terms) -> tuple[dict[str, str], Mapping[str, Any]]:
        """What is there now at this side, of the fields that the write changes, and all of it."""
        _, rows = self._read(ask.operation, side, template.filled(ask.params, params), replace(terms, fresh=True))
        return {name: _text(rows.good[0][name]) for name in ask.shows}, rows.good[0]

    def _answer(self, operation: Operation, params: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
        """The write's own answer as far as it can be told: by what was asked for, then by what is there."""
        known = {**row, **params}
        made = {f.name: known.get(f.name) for f in operation.fields}
        whole = operation.shape == "object" and all(f.optional or made[f.name] is not None for f in operation.fields)
        data = self._dump(operation, made) if whole else None
        return {"status": 200, "body": {"data": data, "score": None, "meta": {"settled": "by asking"}}}


def _ask(operation: Operation, side: Side) -> Ask | None:
    source = operation.source(side)
    return None if source is None else source.ask


def _wanted(ask: Ask, params: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(template.parse(text).value(params)) for name, text in ask.shows.items()}


def _side(write: Unsettled) -> Side:
    """Where it was sent to; of one whose act was never noted that does not matter."""
    side: Side = (write.intent or {}).get("side", "legacy")
    return side


def _text(value: Any) -> str:
    """As it is compared: blanks around it are no difference, nor is a missing value one from an empty text."""
    return "" if value is None else template.as_text(value).strip()
