"""How far the migration is: endpoints by stage over time, what is left on legacy, what stands in the way, when it may be over.

Pure: of the catalogue, and of what the store and the gates told of it. Joins are not counted, since their parts are. An endpoint whose file
is gone counts while its last stage is retired. burndown_shown.py prints it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from wrapper.migration.consumption import Consumer, Consumption, consumers
from wrapper.migration.forecast import Forecast, forecast
from wrapper.migration.moves import Move, Proposal
from wrapper.operation import STAGES, Migration, Operation, Stage
from wrapper.units import day, midnight, minute

DAYS = 14
ROWS = 20
FREE = "nothing: it waits to be moved"
_END = ("modern", "retired")


@dataclass(frozen=True, slots=True)
class Known:
    """What was found beside the catalogue, in any order: all moves, all of consumers' calls, and by endpoint how many of its writes one
    side lacks and, in words, what its gates miss."""

    moves: Sequence[Move] = ()
    calls: Sequence[Consumption] = ()
    legs: Mapping[str, int] = field(default_factory=dict)
    gates: Mapping[str, Sequence[str]] = field(default_factory=dict)
    proposals: Sequence[Proposal] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """How many endpoints were at each stage at that time."""

    at: float
    stages: Mapping[Stage, int]


@dataclass(frozen=True, slots=True)
class Day:
    """Calls by the side that answered, and back-end seconds: legacy's, and those it was spared (see _spared)."""

    day: str
    legacy: int
    modern: int
    seconds: float
    freed: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """An endpoint that is not at its end, and what stands in its way."""

    endpoint: str
    stage: Stage
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of so many `endpoints`, how many are on modern (or retired), in how many moves, and when all may be."""

    of: str
    endpoints: int
    reached: int
    moves: int
    forecast: Forecast | None


@dataclass(frozen=True, slots=True)
class Burndown:
    """All of it, as of `at`."""

    at: float
    counts: tuple[Count, ...]
    days: tuple[Day, ...]
    blocked: tuple[Blocked, ...]
    outlooks: tuple[Outlook, ...]


def burndown(operations: Iterable[Operation], known: Known, now: float) -> Burndown:
    """As of `now`, seconds since 1970."""
    served = {op.name: op for op in operations if not op.parts}
    histories: dict[str, list[Move]] = {name: [] for name in served}
    for move in sorted(known.moves, key=lambda move: (move.at, move.number)):
        histories.setdefault(move.endpoint, []).append(move)
    histories = {name: moves for name, moves in histories.items() if name in served or _stage(moves, now) == "retired"}
    return Burndown(
        now,
        tuple(Count(at, Counter(_stage(moves, at) for moves in histories.values())) for at in _times(histories, now)),
        tuple(_days(served, known.calls, now)),
        tuple(_blocked(served, histories, known, now)),
        _outlooks(served, histories, now),
    )


def _stage(moves: Sequence[Move], at: float) -> Stage:
    """Of an endpoint with that history, oldest first."""
    return next((move.standing.stage for move in reversed(moves) if move.at <= at), "legacy")


def _times(histories: Mapping[str, Sequence[Move]], now: float) -> list[float]:
    """The ends of some days since the first move, at most ROWS of them, and now."""
    first = min((moves[0].at for moves in histories.values() if moves), default=now)
    begin, today = (datetime.fromtimestamp(at, UTC).date() for at in (first, now))
    span = (today - begin).days
    step = next((step for step in (1, 7) if span <= step * ROWS), math.ceil(span / ROWS))
    return [midnight(begin + timedelta(days=n + 1)).timestamp() for n in range(0, span, step)] + [now]


def _days(served: Mapping[str, Operation], calls: Sequence[Consumption], now: float) -> Iterator[Day]:
    """The last DAYS, from the first on which anything was counted."""
    means = _means(calls)
    counted = min((row.day for row in calls), default="9")
    for today in (day(now, -ago) for ago in reversed(range(DAYS))):
        rows = [row for row in calls if row.day == today]
        if today >= counted:
            modern = [row for row in rows if row.side == "modern"]
            legacy = [row for row in rows if row.side == "legacy"]
            freed = sum(row.calls * means.get(row.endpoint, 0.0) * _spared(served.get(row.endpoint)) for row in modern)
            yield Day(today, sum(r.calls for r in legacy), sum(r.calls for r in modern), sum(r.seconds for r in legacy), freed)


def _means(calls: Sequence[Consumption]) -> dict[str, float]:
    """Back-end seconds of one call of each endpoint on legacy."""
    number: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    for row in calls:
        if row.side == "legacy":
            number[row.endpoint] += row.calls
            seconds[row.endpoint] += row.seconds
    return {name: seconds[name] / n for name, n in number.items() if n}


def _spared(operation: Operation | None) -> float:
    """The share of modern's calls that legacy has no work with: it gets dual writes too, and still answers a sample of the reads."""
    told = operation.migration if operation is not None else None
    if operation is None or told is None:
        return 1.0
    return 1 - told.sample_modern if operation.effect == "read" else 0.0 if told.writes == "dual" else 1.0


def _blocked(served: Mapping[str, Operation], histories: Mapping[str, Sequence[Move]], known: Known, now: float) -> Iterator[Blocked]:
    callers: defaultdict[str, list[Consumer]] = defaultdict(list)
    for consumer in consumers(known.calls, now):
        callers[consumer.endpoint].append(consumer)
    for name, operation in served.items():
        stage = _stage(histories[name], now)
        why = [
            *(_held(operation, known.gates.get(name, ()), now) if stage not in _END else ()),
            *(_outlived(operation, callers[name], now) if stage != "retired" else ()),
            *([f"{known.legs[name]} open reconcile item(s): writes that one side lacks"] if known.legs.get(name) else ()),
            *(_waiting(proposal) for proposal in known.proposals if proposal.endpoint == name),
        ]
        if why or stage not in _END:
            yield Blocked(name, stage, tuple(why) or (FREE,))


def _held(operation: Operation, gates: Sequence[str], now: float) -> Iterator[str]:
    """What keeps it from modern."""
    told = operation.migration or Migration()
    if operation.modern is None:
        yield "no modern side"
        return
    if STAGES.index(told.highest) < STAGES.index("modern"):
        yield f"its file allows {told.highest} at most (highest_stage)"
    yield from gates
    for begin, end in told.freezes:
        if begin.timestamp() <= now < end.timestamp():
            yield f"frozen until {minute(end.timestamp())} UTC"


def _outlived(operation: Operation, callers: Sequence[Consumer], now: float) -> Iterator[str]:
    """What keeps it from being retired when its day has come."""
    sunset = operation.migration.sunset if operation.migration is not None else None
    if sunset is not None and now >= midnight(sunset).timestamp():
        still = [f"{c.consumer} (last {minute(c.last)} UTC)" for c in callers if c.legacy_month + c.modern_month]
        told = f"still called by {', '.join(still)}" if still else "nobody has called for 30 days: a person may retire it"
        yield f"the sunset {sunset} has passed; {told}"


def _waiting(proposal: Proposal) -> str:
    return f"{proposal.standing}, proposed by {proposal.who}, waits for a second person since {minute(proposal.at)} UTC"


def _outlooks(served: Mapping[str, Operation], histories: Mapping[str, Sequence[Move]], now: float) -> tuple[Outlook, ...]:
    able = {name for name in histories if name not in served or served[name].modern is not None}
    since = min((moves[0].at for moves in histories.values() if moves), default=now)
    arrived = {name: at for name, moves in histories.items() if (at := _arrived(moves, now)) is not None}

    def outlook(of: str, names: Iterable[str]) -> Outlook:
        those = set(names)
        times = [at for name, at in arrived.items() if name in those]
        left = len(those) - len(times)
        return Outlook(of, len(those), len(times), len(set(times)), forecast(times, left, since, now) if left else None)

    return outlook("endpoints with a modern side", able), outlook("endpoints", histories)


def _arrived(moves: Sequence[Move], now: float) -> float | None:
    """When it reached modern or retired, if it has stayed there."""
    at: float | None = None
    for move in moves:
        if move.at <= now:
            at = (move.at if at is None else at) if move.standing.stage in _END else None
    return at
