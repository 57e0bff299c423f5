"""Who may sign on: one user on one LU, each LU held by one process of the installation, and nobody whose credential the host refused.

A refusal is told to all processes and hosts (Leases.bar) before the LU is given back, so that each credential costs the host one failed
sign-on, however many ask. A credential that stays the same is barred by two bytes of its hash: one that was changed may be tried, and who
reads the list of bars learns next to nothing. One that is made for each sign-on is never the same; there its LU is barred. An
operator lifts a bar.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.base import Credential, Leases
from adapters.errors import AdapterError, BadLogon, Misconfigured, PoolExhausted, Unavailable

ASIDE, LONGEST = 0.5, 4.0  # seconds for which a user who is in use elsewhere, or barred, is not tried again: each time for twice as long


@dataclass(frozen=True, slots=True)
class User:
    """Who signs on, and on which terminal."""

    lu: str
    credential: Credential = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seat:
    """An LU that is ours by the lease `lease`, and what to sign on with. `bar` is what to bar when that is refused."""

    lease: str
    lu: str
    bar: str
    user: str
    password: str = field(repr=False)


class Users:
    """Who is free to sign on. Thread-safe."""

    def __init__(self, system: str, users: Sequence[User], leases: Leases) -> None:
        self._system, self._leases = system, leases
        self._users: Mapping[str, User] = {f"{system}:{user.lu}": user for user in users}
        self._aside = dict.fromkeys(self._users, 0.0)  # until when they are not tried here
        self._pause = dict.fromkeys(self._users, ASIDE)
        self._untaken: set[str] = set()  # those aside whose connection the host did not take
        self._held: set[str] = set()
        self._lock = threading.Lock()

    def take(self, deadline: float, *, needed: bool) -> Seat:
        """A seat that was free; give it back. Where it is not `needed`, no other process is asked to give one up.
        Raises BadLogon when every user is barred, Unavailable when the host takes no connection of the others, PoolExhausted when
        others have them, Misconfigured."""
        while True:
            name = self._leases.take(self._untried(deadline), self._holding(needed))
            if name is None:
                raise self._none(deadline)
            with self._lock:
                self._held.add(name)
            try:
                seat = self._seat(name, deadline)
                if not self._leases.barred(seat.bar):  # asked after the take: whoever bars it does so before the give
                    return seat
            except BaseException:
                self.last(name)
                self.give(name)
                raise
            self.aside(name)
            self.give(name)

    def give(self, lease: str) -> None:
        """Give a seat back."""
        with self._lock:
            self._held.discard(lease)
        self._leases.give(lease)

    def aside(self, lease: str, *, untaken: bool = False) -> None:
        """Do not try this one for a while, and then after the others: meanwhile one of those is waited for."""
        with self._lock:
            (self._untaken.add if untaken else self._untaken.discard)(lease)
            self._aside[lease] = time.monotonic() + self._pause[lease]
            self._pause[lease] = min(2 * self._pause[lease], LONGEST)

    def last(self, lease: str) -> None:
        """Try this one after the others."""
        with self._lock:
            self._aside[lease] = time.monotonic()

    def good(self, lease: str) -> None:
        """It is signed on."""
        with self._lock:
            self._aside[lease], self._pause[lease] = 0.0, ASIDE
            self._untaken.discard(lease)

    def barred(self, deadline: float) -> int:
        """How many users nobody may sign on with."""
        return sum(self._is_barred(name, deadline) for name in self._users)

    def _untried(self, deadline: float) -> list[str]:
        """Not those that have a session here, even when their lease was lost: the end of that one would give the next one's back."""
        with self._lock:
            now = time.monotonic()
            open_ = [name for name in self._users if name not in self._held and self._aside[name] <= now]
            names = sorted(open_, key=self._aside.__getitem__)
        if not names:
            raise self._none(deadline)
        return names

    def _holding(self, needed: bool) -> int:
        """What others compare with their own number: nobody has more than all."""
        with self._lock:
            return len(self._held) if needed else len(self._users)

    def _none(self, deadline: float) -> AdapterError:
        barred = {name for name in self._users if self._is_barred(name, deadline)}
        if len(barred) == len(self._users):
            return BadLogon(f"{self._system} refuses the credential of every user")
        others = f"{self._system} refuses the credential of {len(barred)} of {len(self._users)} users; of the others, " if barred else ""
        with self._lock:
            now = time.monotonic()
            untaken = {name for name in self._untaken if self._aside[name] > now}
            if barred | untaken >= self._users.keys():
                error = Unavailable(f"{others}the host does not take the connection of any LU")
                error.spoils = not barred  # no breaker opens then, which would hide the bars: each call tells of them
                if not barred:  # nobody is left to be tried before these: the breaker says how often
                    self._aside.update(dict.fromkeys(untaken, now))
                return error
        return PoolExhausted(f"{others}every LU of {self._system} is in use")

    def _is_barred(self, name: str, deadline: float) -> bool:
        try:
            return self._leases.barred(name if self._users[name].credential.once else self._seat(name, deadline).bar)
        except Misconfigured:
            return False

    def _seat(self, name: str, deadline: float) -> Seat:
        user = self._users[name]
        login = user.credential.read(deadline)
        mark = "" if user.credential.once else "#" + hashlib.blake2b(login.encode(), key=name.encode()[:64], digest_size=2).hexdigest()
        who, _, password = login.partition(":")
        return Seat(name, user.lu, name + mark, who, password)
