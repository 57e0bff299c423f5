"""A token bucket that many processes share: what a draw takes of it, purely. Who keeps it (the state store), and who spends what was
drawn (quotas.py), is not known here.

Tokens come in at the rate and are there to the number of `burst`, those that a process has drawn and may still spend included. So over
any time never more is granted than its rate brings plus one burst, whoever dies or sleeps. What was drawn ahead and not spent within LIFE
seconds is gone; the rate fills it up again.

Where consumers share a bucket (a system's, an endpoint's `whole`) two things hold while it runs short:

    priority     a class draws only down to its floor, so who is of a higher one finds something: low goes first, then normal. Background
                 work has the highest floor. A bucket of one token has no room for floors: there, first come, first served.
    fair share   of consumers of one class who ask, nobody draws more in a window than the rate brings by then, divided by their number;
                 what the others leave fills the bucket, and then it is anybody's.

It is no promise of a rate: who is of a low class may get nothing for as long as higher ones take all that comes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wrapper.access import Rate

LIFE = 1.0  # seconds that tokens drawn ahead may be spent
WINDOW = 1.0  # seconds over which shares are counted, where the rate brings one token for each by then
CONSUMERS = 200  # of a class that are told apart; more of them share what these leave
FLOORS: Mapping[str, float] = {"high": 0.0, "normal": 0.2, "low": 0.5, "background": 0.75}
"""Share of the bucket that each class leaves to those above it."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One process (`who`) asks for a consumer. `ahead`: so many more than the one it needs now, if they are there. `waiting` are others
    there who would draw too, by their class. No `consumer`: the bucket is not shared."""

    rate: Rate
    who: str
    consumer: str = ""
    priority: str = "high"
    ahead: int = 0
    waiting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taker:
    """A consumer who has asked lately, and how many it has drawn in this window."""

    priority: str
    asked: float
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """As it stood `at` a time. `out` are the tokens drawn ahead: by process and consumer, how many and until when. `since`: the window's
    beginning."""

    level: float
    at: float
    out: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    takers: Mapping[str, Taker] = field(default_factory=dict)
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """`tokens` drawn, the one needed now included; `level` is what is left. Asking again makes sense after `wait` seconds. None drawn and
    `own`: it is the consumer's own share that is used up."""

    tokens: int
    level: float
    wait: float
    own: bool


def draw(bucket: Bucket | None, asked: Draw, now: float) -> tuple[Bucket, Drawn]:
    """The bucket afterwards, and what was drawn. One that nobody knows is full."""
    per_second = asked.rate.amount / asked.rate.period
    burst = asked.rate.burst
    bucket = bucket or Bucket(burst, now, since=now)
    out = {key: held for key, held in bucket.out.items() if now < held[1] <= now + LIFE}  # the clock may be another boot's
    level = min(bucket.level + max(now - bucket.at, 0.0) * per_second, burst - sum(number for number, _ in out.values()))
    key = f"{asked.who} {asked.consumer}"
    out.pop(key, None)  # who asks again has spent what it had, not before now perhaps
    floor = FLOORS[asked.priority] * burst
    takers, since, fair, ends = _shares(bucket, asked, per_second, now)
    room, taken = level - floor, takers[asked.consumer].taken if asked.consumer else 0
    half, need = (burst - floor) / 2, min(burst, 1 + floor)
    left = fair - taken if room < half else room  # of its share, while the bucket runs short
    if left <= 0:
        drawn = Drawn(0, level, min(ends - now, (half - room) / per_second), own=True)
    elif level + 1e-9 < need:
        drawn = Drawn(0, level, (need - level) / per_second, own=not asked.consumer)
    else:
        tokens = max(int(min(1 + asked.ahead, room, left) + 1e-9), 1)
        level -= tokens
        drawn = Drawn(tokens, max(level, 0.0), max(need - level, 0.0) / per_second, own=not asked.consumer)
        out |= {key: (tokens - 1, now + LIFE)} if tokens > 1 else {}
        if asked.consumer:
            takers[asked.consumer] = Taker(asked.priority, now, taken + tokens)
    return Bucket(level, now, out, takers, since), drawn


def full_at(bucket: Bucket, rate: Rate) -> float:
    """When nothing is to be known of it any more: it is full, and nobody holds anything of it."""
    return bucket.at + max(rate.burst - bucket.level, 0.0) / (rate.amount / rate.period) + LIFE


def _shares(bucket: Bucket, asked: Draw, per_second: float, now: float) -> tuple[dict[str, Taker], float, float, float]:
    """Who has asked lately; when the window began; the fair share of one of the asker's class in it; its end."""
    if not asked.consumer:
        return {}, now, math.inf, now
    takers = dict(bucket.takers)
    for name, priority in {**asked.waiting, asked.consumer: asked.priority}.items():
        takers[name] = Taker(priority, now, takers[name].taken if name in takers else 0)
    length = max(WINDOW, len(takers) / per_second)
    since = bucket.since
    if not 0 <= now - since < length:
        since = now
        takers = {name: Taker(t.priority, t.asked) for name, t in takers.items() if now - t.asked < 2 * length}
    if len(takers) > CONSUMERS:
        newest = sorted(takers, key=lambda name: (name == asked.consumer, takers[name].asked))[-CONSUMERS:]
        takers = {name: takers[name] for name in newest}
    alike = sum(t.priority == asked.priority for t in takers.values())
    return takers, since, max(1.0, per_second * length / alike) if alike > 1 else math.inf, since + length
