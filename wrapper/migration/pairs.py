"""Which row of one list is which row of the other: by key, and where keys don't tell, by what the rows hold. So one row that is missing
makes no other row differ, and order is a difference of its own. Knows nothing of how two rows differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from wrapper.migration.rules import Rules
from wrapper.migration.values import kind, offset
from wrapper.operation import Field

Form = Callable[[Any], Hashable]
Formed = list[tuple[Hashable, int]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Places in both lists. `sure` are those of `both` that belong together for a reason, not just because nothing else was left."""

    both: tuple[tuple[int, int], ...]
    sure: tuple[tuple[int, int], ...]
    missing: tuple[int, ...]
    extra: tuple[int, ...]

    def moved(self) -> tuple[int, int] | None:
        """The first row of the control that stands elsewhere among those that both have."""
        places = sorted(there for _, there in self.sure)
        return next((pair for pair, place in zip(self.sure, places, strict=True) if pair[1] != place), None)


def keys(fields: Sequence[Field], order_by: str | None) -> tuple[str, ...]:
    """By what the rows of a list are told apart: what the rules say, else the contract's keys."""
    return (order_by,) if order_by else tuple(f.name for f in fields if f.key)


def pair(control: Sequence[Any], candidate: Sequence[Any], path: str, names: Sequence[str], rules: Rules) -> Pairs:
    """Rows with the same key; where several have it, or there is none: first the equal ones, then those that are equal but for
    tolerances, then what is left, in its order."""

    def key(row: Any) -> Hashable:
        return tuple(form(row.get(name), f"{path}.{name}", rules) for name in names) if isinstance(row, Mapping) else ()

    def exactly(row: Any) -> Hashable:
        return form(row, path, rules)

    def roughly(row: Any) -> Hashable:
        return form(row, path, rules, rough=True)

    both, sure = list[tuple[int, int]](), list[tuple[int, int]]()
    missing, extra = list[int](), list[int]()
    ours, theirs = (_grouped(_formed(rows, range(len(rows)), key)) for rows in (control, candidate))
    for met in ours | theirs:
        here, there = ours.get(met, []), theirs.get(met, [])
        if not met or len(here) != 1 or len(there) != 1:
            for take, formed in ((_ends, exactly), (_alike, exactly), (_alike, roughly)):
                found = take(_formed(control, here, formed), _formed(candidate, there, formed)) if here and there else []
                sure += found
                here, there = _without({place for place, _ in found}, here), _without({place for _, place in found}, there)
            both += zip(here, there, strict=False)
        else:
            sure += zip(here, there, strict=True)
            here, there = [], []
        missing += here[len(there) :]
        extra += there[len(here) :]
    both += sure
    return Pairs(tuple(sorted(both)), tuple(sorted(sure)), tuple(sorted(missing)), tuple(sorted(extra)))


def _formed(rows: Sequence[Any], places: Iterable[int], formed: Form) -> Formed:
    return [(formed(rows[place]), place) for place in places]


def _grouped(rows: Formed) -> dict[Hashable, list[int]]:
    groups = defaultdict[Hashable, list[int]](list)
    for met, place in rows:
        groups[met].append(place)
    return groups


def _ends(ours: Formed, theirs: Formed) -> list[tuple[int, int]]:
    """What both lists begin and end with: so of rows that are alike, the one that is missing is told by its place."""
    front = _start(ours, theirs)
    return front + _start(reversed(ours[len(front) :]), reversed(theirs[len(front) :]))


def _start(ours: Iterable[tuple[Hashable, int]], theirs: Iterable[tuple[Hashable, int]]) -> list[tuple[int, int]]:
    pairs = takewhile(lambda both: both[0][0] == both[1][0], zip(ours, theirs, strict=False))
    return [(here, there) for (_, here), (_, there) in pairs]


def _alike(ours: Formed, theirs: Formed) -> list[tuple[int, int]]:
    """Rows of one form, wherever they are, in their order."""
    groups = _grouped(theirs)
    return [both for met, places in _grouped(ours).items() for both in zip(places, groups.get(met, ()), strict=False)]


def _without(used: set[int], places: Iterable[int]) -> list[int]:
    return [place for place in places if place not in used]


def form(value: Any, path: str, rules: Rules, *, rough: bool = False) -> Hashable:
    """Equal, by the rules, for values that are the same; without what has a tolerance where it is `rough`. What is not canonical equals
    nothing."""
    what = kind(value)
    if path in rules.ignore or (rough and (path in rules.tolerance or (what == "decimal" and rules.decimal))):
        return None
    if what == "object":
        inner = ((name, f"{path}.{name}") for name in value)
        return what, frozenset((name, form(value[name], at, rules, rough=rough)) for name, at in inner if at not in rules.ignore)
    if what == "list":
        items = tuple(form(item, path, rules, rough=rough) for item in value)
        return what, frozenset(Counter(items).items()) if path in rules.unordered else items
    return (what, value, offset(value)) if what else object()
