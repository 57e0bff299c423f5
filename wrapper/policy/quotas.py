"""How often a caller may call, how often an endpoint may be asked, and how often a legacy system: for the whole installation.

Limits are token buckets of the state store (bucket.py says what a draw takes). A process draws a block of tokens in one transaction and
spends them from memory, so the store hears a few times a second of a bucket, however many requests there are. Once a bucket was found
empty nobody here asks for it until it makes sense again. While the store is away each process goes by its fixed share of the limit, kept
in memory; around an outage up to one burst more may be granted.

Who has used up what is its own is told 429; that others have used up what is everybody's is 503. Both say when to come again.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from adapters.base import Events
from adapters.errors import Overused
from adapters.events import SILENT
from wrapper import access
from wrapper.access import Access, Rate
from wrapper.operation import Operation, System
from wrapper.policy.bucket import LIFE, Draw, Drawn
from wrapper.policy.keys import Caller
from wrapper.problems import Crowded, NotReady, TooMany

BLOCK = 0.2  # seconds of a rate that are drawn at once, and
PART = 1 / 4  # of the burst at most, halved where consumers share it
PAUSE = 0.25  # seconds for which a bucket that was found empty is not asked, and a quarter of what its burst lasts at most
WITHIN = 0.5  # seconds that a request waits for the store
AWAY = 2.0  # seconds after which a store that was away is asked again, by one request
MOST = 20_000  # limits that are remembered; beyond, all are forgotten: at most a block of each is lost
OURS = "figway"
"""Consumer of what nobody has called for just now: looks that settle a write, writes that are carried over."""


class Buckets(Protocol):
    """Where buckets are kept (the state store). Raises NotReady."""

    def draw(self, name: str, asked: Draw, within: float = ...) -> Drawn: ...


@dataclass(slots=True, eq=False)
class Purse:
    """What this process has drawn of a bucket, for one consumer where it is shared. `policy` is its name for callers."""

    policy: str
    bucket: str
    draw: Draw
    tokens: int = 0
    block: int = 0  # how many were drawn last
    ends: float = 0.0  # when what is left of them is gone
    empty: float = 0.0  # until when the store is not asked
    own: bool = True  # whether it is the consumer's own share that is used up
    level: float = 0.0  # of the bucket, when it was last drawn from
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Limits:
    """All that a request passes. `policy`: of those that are the caller's own, as a header."""

    purses: tuple[Purse, ...]
    policy: str


class Quotas:
    """Thread-safe. Who has no quota costs one look into a dictionary."""

    def __init__(
        self,
        access: Access,
        systems: Mapping[str, System],
        buckets: Buckets,
        workers: int = 1,
        events: Events = SILENT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`workers` are those of the whole installation."""
        self._quotas, self._buckets, self._workers, self._events, self._clock = access.quotas, buckets, workers, events, clock
        self._systems = {name: rate for name, system in systems.items() if (rate := of_system(system)) is not None}
        self._who = secrets.token_hex(4)
        self._limits: dict[tuple[str, str], Limits] = {}
        self._purses: dict[tuple[str, str, str], Purse] = {}
        self._paused: dict[tuple[str, str], float] = {}  # bucket and class
        self._waiting: dict[str, dict[str, str]] = {}  # of a shared bucket: who was sent away without asking the store
        self._alone, self._down = False, 0.0
        self._local: dict[str, tuple[float, float]] = {}  # level and time of each bucket's share, while alone
        self._lock = threading.Lock()

    def spend(self, operation: Operation | None, caller: Caller, told: MutableMapping[str, str]) -> None:
        """One request of `caller`; `operation` None: what is none's, like looking after a job. The RateLimit headers go to `told`.
        Raises TooMany, Crowded."""
        key = ("" if operation is None else operation.name, caller.principal)
        limits = self._limits.get(key) or self._found(key, operation)
        if not limits.purses:
            return
        for number, purse in enumerate(limits.purses):
            if wait := self._take(purse):
                for earlier in limits.purses[:number]:
                    self._give_back(earlier)
                self._events.happened("quota_refused", "figway")
                raise _refused(limits, purse, wait, told)
        if limits.policy:
            told["RateLimit-Policy"] = limits.policy
            told["RateLimit"] = _left(limits.purses)

    def spend_system(self, system: str, consumer: str, background: bool = False) -> None:
        """One call to a system. Raises Overused: with status 429 when the consumer's own share is used up, else 503."""
        rate = self._systems.get(system)
        if rate is None:
            return
        priority = "background" if background else self._priority(consumer)
        purse = self._purse("", f"system {system}", rate, consumer or OURS, priority)
        if wait := self._take(purse):
            self._events.happened("rate_refused", system)
            whose = "your share of what" if purse.own else "all that"
            error = Overused(f"{whose} {system} may be asked ({said(rate)}) is used up", backend=system, retry_after=wait)
            error.status = 429 if purse.own else 503
            raise error

    def _found(self, key: tuple[str, str], operation: Operation | None) -> Limits:
        """What this consumer's requests of this operation pass: its own quota, its own of the endpoint, the endpoint's."""
        name, principal = key
        purses = []
        if quota := self._quotas.get(principal) or self._quotas.get("*"):
            purses.append(self._purse("consumer", f"consumer {principal}", quota))
        limits = operation.limits.get("rate", {}) if operation is not None else {}
        if "per_consumer" in limits:
            purses.append(self._purse(name, f"endpoint {name} of {principal}", access.rate(limits["per_consumer"])))
        policy = ", ".join(f'"{p.policy}";q={p.draw.rate.amount:.0f};w={p.draw.rate.period:.0f}' for p in purses)
        if "whole" in limits:
            purses.append(self._purse("", f"endpoint {name}", access.rate(limits["whole"]), principal, self._priority(principal)))
        if max(len(self._purses), len(self._limits)) >= MOST:
            self._limits, self._purses = {}, {}
        return self._limits.setdefault(key, Limits(tuple(purses), policy))

    def _priority(self, consumer: str) -> str:
        quota = self._quotas.get(consumer) or self._quotas.get("*")
        return quota.priority if quota else "normal"

    def _purse(self, policy: str, bucket: str, rate: Rate, consumer: str = "", priority: str = "high") -> Purse:
        """The only one for this bucket, consumer and class in this process."""
        key = (bucket, consumer, priority)
        purse = self._purses.get(key)
        if purse is None:
            block = min(rate.amount / rate.period * BLOCK, rate.burst * (PART / 2 if consumer else PART))
            ahead = 0 if priority == "background" else max(int(block) - 1, 0)
            purse = self._purses.setdefault(key, Purse(policy, bucket, Draw(rate, self._who, consumer, priority, ahead)))
        return purse

    def _take(self, purse: Purse) -> float:
        """0 for a token, else in how many seconds there may be one."""
        if not purse.lock.acquire(timeout=2 * WITHIN):
            raise NotReady("the state store does not answer")
        try:
            now = self._clock()
            if purse.tokens and now < purse.ends:
                purse.tokens -= 1
                return 0.0
            if now < purse.empty:
                return self._sent_away(purse, purse.empty - now)
            paused = self._paused.get((purse.bucket, purse.draw.priority), 0.0) if purse.draw.consumer else 0.0
            if now < paused:
                purse.own = False
                return self._sent_away(purse, paused - now)
            if self._alone and now < self._down:
                return self._share(purse, now)
            return self._drawn(purse)
        finally:
            purse.lock.release()

    def _give_back(self, purse: Purse) -> None:
        with purse.lock:
            if self._clock() < purse.ends:
                purse.tokens += 1

    def _sent_away(self, purse: Purse, wait: float) -> float:
        if purse.draw.consumer:
            self._waiting.setdefault(purse.bucket, {})[purse.draw.consumer] = purse.draw.priority
        return wait

    def _drawn(self, purse: Purse) -> float:
        """Ask the store. What is drawn counts from before it was asked: here it is gone before the store gives it to another."""
        began = self._clock()
        self._down = began + AWAY  # of those who come meanwhile none waits for a store that was away
        waiting = self._waiting.pop(purse.bucket, {}) if purse.draw.consumer else {}
        used = purse.block - purse.tokens if purse.tokens else 4 * purse.block  # what is not used within its life is lost to all
        try:
            drawn = self._buckets.draw(purse.bucket, replace(purse.draw, ahead=min(used, purse.draw.ahead), waiting=waiting), WITHIN)
        except NotReady:
            self._away()
            return self._share(purse, began)
        self._alone = False
        rate = purse.draw.rate
        pause = max(drawn.wait, min(PAUSE, rate.burst * rate.period / rate.amount / 4))
        purse.level, purse.own, purse.block = drawn.level, drawn.own, drawn.tokens
        if drawn.tokens:
            purse.tokens, purse.ends = drawn.tokens - 1, began + LIFE
            purse.empty = began + pause if drawn.wait else 0.0
            return 0.0
        purse.tokens, purse.empty = 0, began + pause
        if not drawn.own:
            self._paused[purse.bucket, purse.draw.priority] = began + pause
        return pause

    def _share(self, purse: Purse, now: float) -> float:
        """This process's fixed share of a bucket, while the store is away; nothing is to spare then."""
        self._events.happened("quota_alone", "store")
        rate = purse.draw.rate
        per_second, burst = rate.amount / rate.period / self._workers, rate.burst / self._workers
        purse.own = not purse.draw.consumer
        if purse.draw.priority == "background":
            return AWAY
        with self._lock:
            level, at = self._local.get(purse.bucket, (burst, now))
            level = min(max(burst, 1.0), level + max(now - at, 0.0) * per_second)
            self._local[purse.bucket] = level - 1 if level >= 1 else level, now
        return 0.0 if level >= 1 else (1 - level) / per_second

    def _away(self) -> None:
        with self._lock:
            if not self._alone:
                self._local.clear()
            self._alone, self._down = True, self._clock() + AWAY


def of_system(system: System) -> Rate | None:
    """How often it may be asked, None where it does not say."""
    return access.rate(system.block["rate"]) if "rate" in system.block else None


def said(rate: Rate) -> str:
    """`5 a second`"""
    return f"{rate.amount:g} a {({1.0: 'second', 60.0: 'minute'}).get(rate.period, 'hour')}"


def _refused(limits: Limits, purse: Purse, wait: float, told: MutableMapping[str, str]) -> TooMany | Crowded:
    again = max(math.ceil(wait), 1)
    headers = {"Retry-After": str(again)}
    if limits.policy:
        told["RateLimit-Policy"] = limits.policy
    if not purse.own:
        return Crowded(f"this endpoint is asked {said(purse.draw.rate)} at most, by all together", headers=headers)
    if purse.policy:
        told["RateLimit"] = f'"{purse.policy}";r=0;t={again}'
    whose = "you may call" if purse.policy == "consumer" else "you may ask this endpoint"
    return TooMany(f"{whose} {said(purse.draw.rate)} at most", headers=headers)


def _left(purses: tuple[Purse, ...]) -> str:
    """Of the limit that is nearest to its end, as far as this process knows: others may spend of it too."""
    least, of = math.inf, purses[0]
    for purse in purses:
        if purse.policy and (left := purse.tokens + purse.level) < least:
            least, of = left, purse
    rate = of.draw.rate
    again = math.ceil(max(rate.burst - least, 0.0) * rate.period / rate.amount)
    return f'"{of.policy}";r={min(least, rate.amount):.0f};t={again}'
