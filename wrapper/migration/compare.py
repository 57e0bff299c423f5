"""What two sides answered to one request, compared as canonical values: the same, different and where, or not to be compared.

Pure: asking the sides, reading again before a difference is believed, masking and keeping it are for others. Nothing is rounded or
guessed: numbers are the same as numbers (1.0 and 1.00), and kinds are not mixed (1, "1" and true are three values). Values are the
customers': a Difference shows none in its repr, and its places are counted, not named by keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from adapters.errors import AdapterError
from wrapper.migration.pairs import Pairs, form, keys, pair
from wrapper.migration.rules import Rules, Tolerance
from wrapper.migration.values import CLOCK, distance, kind, plainly_same, same, unit, way
from wrapper.operation import Field
from wrapper.problems import RequestError
from wrapper.rows import Rows

Class = Literal["missing", "extra", "type", "value", "order", "count", "error"]
Outcome = Literal["equal", "different", "skipped"]
SAMPLES, MOST = 5, 100
"""Differences kept of a kind at a path, and of an answer."""
HARMLESS = frozenset({"clock", "generated id", "moved"})
OTHER_DATES, STALE = "other business dates", "the candidate's rows are stale"
DATED = (OTHER_DATES, STALE)
"""Reasons why answers are skipped that lie with the candidate, up to their colon."""
_CLOCKS = (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=15), CLOCK)
_UNANSWERED = (503, 504)  # not asked, or not heard: nothing is known of what the answer would have been


@dataclass(frozen=True, slots=True)
class Failure:
    """An error instead of rows, as callers see it. `name` is its class, like Missing."""

    status: int
    name: str


Said = Rows | Failure


def failure(error: Exception) -> Failure:
    """An error as it is compared: both sides' statuses and classes are the facade's own. One that nobody expected is a 500 to callers."""
    return Failure(error.status if isinstance(error, AdapterError | RequestError) else 500, type(error).__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the candidate is not as the control. `path` is the field as the catalogue says it (`items.balance`), `where` the
    very one (`items[3].balance`, counted in the control; what is extra, in the candidate); `detail` is the way in which it differs,
    or "". `rule`, if any, is what a person may accept so that this counts no more; str(rule) is its text in the catalogue."""

    path: str
    where: str
    kind: Class
    detail: str
    control: Any = field(default=None, repr=False)
    candidate: Any = field(default=None, repr=False)
    rule: Rules | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`differences` are samples: up to SAMPLES of each kind at each path. `reason` says why an answer is skipped: it is then no
    evidence for anything."""

    outcome: Outcome
    differences: tuple[Difference, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _At:
    """Where the comparison stands. A list's items are at the path of the list."""

    path: str
    where: str
    contract: Field | None
    root: bool = False

    def member(self, name: str, fields: Mapping[str, Field]) -> _At:
        return _At(f"{self.path}.{name}", f"{self.where}.{name}", fields.get(name))

    def item(self, place: int) -> _At:
        return _At(self.path, f"{self.where}[{place}]", self.contract)

    def differs(self, kind: Class, detail: str, control: Any = None, candidate: Any = None, rule: Rules | None = None) -> Difference:
        return Difference(self.path, self.where, kind, detail, control, candidate, rule)


def compare(control: Said, candidate: Said, fields: Sequence[Field], rules: Rules, shape: Literal["items", "object"] = "items") -> Verdict:
    """`fields` and `shape` are the contract's. Raises nothing, whatever the rows hold."""
    if reason := _incomparable(control, candidate):
        return Verdict("skipped", reason=reason)
    found = _answers(control, candidate, _At(shape, shape, Field(shape, "list", of=tuple(fields)), root=True), rules)
    kept = _bounded(found)
    return Verdict("different" if kept else "equal", kept)


def _incomparable(control: Said, candidate: Said) -> str:
    """Why nothing can be said about these two, or ""."""
    for name, side in (("control", control), ("candidate", candidate)):
        if isinstance(side, Rows) and side.stale:
            return STALE if name == "candidate" else "the control's rows are stale"
    if isinstance(control, Failure):
        if control.status in _UNANSWERED:
            return f"the control did not answer: {control.status} {control.name}"
        if isinstance(candidate, Failure) and control.status >= 500 and candidate.status >= 500:
            return "neither side answered"
        return ""
    if isinstance(candidate, Failure):
        return ""
    if control.as_of and candidate.as_of and control.as_of[:10] != candidate.as_of[:10]:
        return f"{OTHER_DATES}: {control.as_of[:10]} and {candidate.as_of[:10]}"
    return ""


def _bounded(found: Iterable[Difference]) -> tuple[Difference, ...]:
    kept, met = list[Difference](), Counter[tuple[str, str, str]]()
    for difference in found:
        sort = (difference.path, difference.kind, difference.detail)
        met[sort] += 1
        if met[sort] <= SAMPLES and len(kept) < MOST:
            kept.append(difference)
    return tuple(kept)


def _answers(control: Said, candidate: Said, at: _At, rules: Rules) -> Iterator[Difference]:
    if isinstance(control, Failure) and isinstance(candidate, Failure):
        if control != candidate:
            yield at.differs("error", "status" if control.status != candidate.status else "class", control, candidate)
    elif isinstance(control, Failure):
        yield at.differs("error", "answered where the control refused", control)
    elif isinstance(candidate, Failure):
        refused = candidate.status < 500
        yield at.differs("error", "refused" if refused else "no answer", None, candidate)
    else:
        if len(control.bad) != len(candidate.bad):
            yield at.differs("count", "unreadable rows", len(control.bad), len(candidate.bad))
        if at.path == "object" and len(control.good) == len(candidate.good) == 1:
            yield from _values(control.good[0], candidate.good[0], at, rules)
        else:
            yield from _lists(control.good, candidate.good, at, rules)


def _values(control: Any, candidate: Any, at: _At, rules: Rules) -> Iterator[Difference]:
    if at.path in rules.ignore:
        return
    this, that = kind(control), kind(candidate)
    if not this or not that:
        yield at.differs("type", "not a canonical value", control, candidate)
    elif this != that and "null" in (this, that):
        yield at.differs("value", "null", control, candidate)
    elif this != that:
        yield at.differs("type", f"{this} against {that}", control, candidate)
    elif this == "object":
        yield from _members(control, candidate, at, rules)
    elif this == "list":
        yield from _lists(control, candidate, at, rules)
    elif not same(control, candidate, _limit(this, at, rules)):
        detail = way(control, candidate, at.contract)
        yield at.differs("value", detail, control, candidate, _accepting(detail, at.path, control, candidate))


def _members(control: Mapping[str, Any], candidate: Mapping[str, Any], at: _At, rules: Rules) -> Iterator[Difference]:
    names = dict.fromkeys((*control, *candidate))
    doubtful = [n for n in names if n not in control or n not in candidate or not plainly_same(control[n], candidate[n])]
    fields = {f.name: f for f in at.contract.of} if at.contract and doubtful else {}
    for name in doubtful:
        inner = at.member(name, fields)
        if name in control and name in candidate:
            yield from _values(control[name], candidate[name], inner, rules)
        elif inner.path not in rules.ignore:
            met = control.get(name, candidate.get(name))
            lost = name in control
            sort: Class = "value" if met is None else "missing" if lost else "extra"
            yield inner.differs(sort, "null against absent" if met is None else "field", *((met, None) if lost else (None, met)))


def _lists(control: Sequence[Any], candidate: Sequence[Any], at: _At, rules: Rules) -> Iterator[Difference]:
    names = keys(at.contract.of if at.contract else (), rules.order_by if at.root else None)
    pairs = pair(control, candidate, at.path, names, rules)
    if len(control) != len(candidate):
        yield at.differs("count", _cut(pairs, len(control), len(candidate)), len(control), len(candidate))
    for place in pairs.missing:
        yield at.item(place).differs("missing", "row", control[place])
    known = {form(candidate[place], at.path, rules, rough=True) for _, place in pairs.both} if pairs.extra else set()
    for place in pairs.extra:
        repeated = form(candidate[place], at.path, rules, rough=True) in known
        yield at.item(place).differs("extra", "repeated row" if repeated else "row", None, candidate[place])
    moved = pairs.moved()
    if moved and at.path not in rules.unordered:
        yield at.item(moved[0]).differs("order", "moved", *moved, Rules(unordered=frozenset({at.path})))
    for here, there in pairs.both:
        yield from _values(control[here], candidate[there], at.item(here), rules)


def _cut(pairs: Pairs, here: int, there: int) -> str:
    """Whether one side just ends earlier, as it does when a page was not asked for."""
    lost = pairs.missing if here > there else pairs.extra
    return "cut short" if lost == tuple(range(min(here, there), max(here, there))) else "rows"


def _limit(kind: str, at: _At, rules: Rules) -> Tolerance | None:
    return rules.tolerance.get(at.path, rules.decimal if kind == "decimal" else None)


def _accepting(detail: str, path: str, control: Any, candidate: Any) -> Rules | None:
    """The rule for a difference that may well be none: no other kind has one, since it would have to overlook the whole field."""
    apart = distance(control, candidate)
    if detail == "clock" and isinstance(apart, timedelta):
        return Rules(tolerance={path: next(step for step in _CLOCKS if apart <= step)})
    if detail == "generated id":
        return Rules(ignore=frozenset({path}))
    if detail == "rounding" and isinstance(apart, Decimal) and apart <= unit(control, candidate):
        return Rules(tolerance={path: apart})
    return None
