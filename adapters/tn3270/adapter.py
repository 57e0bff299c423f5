"""A live 3270 system: a pool of signed-on sessions, one user on one LU each, and calls that walk them.

A session that was left in doubt is never used again: it is signed off where that is quickly possible and its process is killed. A user
whose credential the host refused is never tried again by this process, so that nobody's id is revoked by a loop.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from adapters.base import Adapter, Call, Events, Files, Leases, Reply
from adapters.errors import AdapterError, BadLogon, PoolExhausted, Refused, Unavailable
from adapters.events import SILENT
from adapters.pool import Pool
from adapters.tn3270.check import load
from adapters.tn3270.definition import Graph
from adapters.tn3270.dialogue import Read
from adapters.tn3270.emulator import Place, Terminal
from adapters.tn3270.plan import InUse, greet, question, rests, sign_off, sign_on, use

SIGN_OFF = 0.5  # seconds that signing off one session may take
CLOSING = 3.0  # seconds after which close() kills what has not ended by itself


def open(name: str, system: Mapping[str, Any], files: Files, leases: Leases, events: Events = SILENT) -> Adapter:
    """See base.AdapterModule."""
    return Tn3270(name, system, load(files, system["logon"]), leases)


@dataclass(frozen=True, slots=True)
class User:
    """Who signs on, and on which terminal."""

    lu: str
    name: str
    password: str = field(repr=False)


class Users:
    """Who is free to sign on. An LU in use by another worker is not; a user signed on elsewhere is tried last."""

    def __init__(self, system: str, users: list[User], leases: Leases) -> None:
        self._system, self._leases = system, leases
        self._order = [f"{system}:{user.lu}" for user in users]
        self._users = dict(zip(self._order, users, strict=True))
        self._lock = threading.Lock()

    def take(self, aside: set[str]) -> User:
        """A user who is not among the LUs `aside`; give it back. Raises BadLogon, Unavailable, PoolExhausted."""
        with self._lock:
            names = [name for name in self._order if self._users[name].lu not in aside]
        if not self._order:
            raise BadLogon(f"{self._system} refuses the credential of every user")
        if not names:
            raise Unavailable(f"every user of {self._system} is signed on elsewhere")
        taken = self._leases.take(names)
        if taken is None:
            raise PoolExhausted(f"every LU of {self._system} is in use")
        return self._users[taken]

    def give(self, lu: str) -> None:
        self._leases.give(f"{self._system}:{lu}")

    def last(self, lu: str) -> None:
        """Try this user after the others."""
        with self._lock:
            self._order.sort(key=f"{self._system}:{lu}".__eq__)  # stable, and False comes before True

    def strike(self, lu: str) -> None:
        """Never try this user again."""
        with self._lock:
            self._order = [name for name in self._order if name != f"{self._system}:{lu}"]


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-on terminal."""

    terminal: Terminal
    user: User


class Tn3270:
    """One system. Thread-safe: a session is one caller's at a time."""

    def __init__(self, name: str, system: Mapping[str, Any], graph: Graph, leases: Leases) -> None:
        self.name, self._graph = name, graph
        self._authorities, self._place = _place(system)
        users = [User(user["lu"], *_login(user["credentials"])) for user in system["users"]]
        self._users = Users(name, users, leases)
        self._live: set[Terminal] = set()
        self._lock = threading.Lock()
        self._until = float("inf")  # when close() ends its patience
        sessions = system.get("sessions", {})
        self._pool: Pool[Session] = Pool(
            name,
            self._open,
            self._close,
            size=min(sessions.get("max", len(users)), len(users)),
            idle=_seconds(sessions.get("idle_logoff", "10m")),
            recycle_after=sessions.get("recycle_after", 0),
            fit=self._fit,
        )

    def call(self, call: Call) -> Reply:
        """See base.Adapter."""
        began = time.monotonic()
        try:
            asked = question(call.target, call.params, self._place.codepage)
            call.left()
            with self._pool.lease(call.deadline) as session:
                terminal = session.terminal
                outcome = terminal.run(use(call.target, asked, terminal.screen), call.deadline)
                if not outcome.clean:
                    terminal.close()
        except AdapterError as error:
            error.backend = self.name
            raise
        return Reply(outcome.records, self.name, time.monotonic() - began)

    def probe(self, timeout: float) -> None:
        """The host shows where a sign-on would begin, to a terminal without a user."""
        deadline = time.monotonic() + timeout
        terminal = self._start(None, deadline)
        try:
            terminal.run(greet(self._graph), deadline)
        finally:
            self._end(terminal)

    def close(self) -> None:
        """See base.Adapter."""
        self._until = min(self._until, time.monotonic() + CLOSING)
        self._pool.close()
        while self._terminals() and time.monotonic() < self._until:
            time.sleep(0.02)
        for terminal in self._terminals():
            terminal.kill()
        if self._authorities:
            self._authorities.close()

    def _terminals(self) -> list[Terminal]:
        with self._lock:
            return list(self._live)

    def _start(self, lu: str | None, deadline: float) -> Terminal:
        """A connected terminal that close() knows of."""
        terminal = Terminal(self._place)
        with self._lock:
            self._live.add(terminal)
        try:
            if self._until != float("inf"):
                raise Unavailable(f"{self.name} is shutting down")
            terminal.connect(lu, deadline)
        except AdapterError:
            self._end(terminal)
            raise
        return terminal

    def _end(self, terminal: Terminal) -> None:
        terminal.close()
        with self._lock:
            self._live.discard(terminal)

    def _open(self, deadline: float) -> Session:
        aside: set[str] = set()
        while True:
            user = self._users.take(aside)
            try:
                return self._signed_on(user, deadline)
            except InUse:
                aside.add(user.lu)
                self._users.last(user.lu)
            except BadLogon:
                self._users.strike(user.lu)
                self._pool.size = max(1, self._pool.size - 1)

    def _signed_on(self, user: User, deadline: float) -> Session:
        terminal = None
        try:
            terminal = self._start(user.lu, deadline)
            terminal.run(sign_on(self._graph, user.name, user.password, self._place.codepage), deadline)
        except BaseException as error:
            if terminal:
                self._end(terminal)
            self._users.give(user.lu)
            if isinstance(error, Refused):
                raise BadLogon(f"the credential of {user.lu} can't be typed: {error.detail}") from None
            raise
        return Session(terminal, user)

    def _fit(self, session: Session, _idle: float) -> bool:
        """Whether a session that has rested is still signed on; looks at what it shows now."""
        try:
            session.terminal.screen = session.terminal.act(Read(), time.monotonic() + SIGN_OFF)
        except AdapterError:
            return False
        return rests(self._graph, session.terminal.screen)

    def _close(self, session: Session) -> None:
        deadline = min(time.monotonic() + SIGN_OFF, self._until)
        if not session.terminal.dead and deadline > time.monotonic():
            with suppress(AdapterError):
                session.terminal.run(sign_off(self._graph), deadline)
        self._end(session.terminal)
        self._users.give(session.user.lu)


def _place(system: Mapping[str, Any]) -> tuple[Any, Place]:
    """Where to connect, and the file that holds the authorities when the system's block has their text."""
    tls, file = system.get("tls"), None
    ca = (tls or {}).get("ca")
    if ca and ca.lstrip().startswith("-----BEGIN"):
        file = tempfile.NamedTemporaryFile("w", prefix="figway-ca-", suffix=".pem")  # noqa: SIM115
        file.write(ca)
        file.flush()
        ca = file.name
    place = Place(
        system["host"],
        int(system.get("port", 992 if tls is not None else 23)),
        tls is not None,
        (tls or {}).get("verify", True),
        ca,
        system.get("model", "3279-2"),
        system.get("codepage", "cp037"),
    )
    return file, place


def _login(credentials: str) -> tuple[str, str]:
    name, _, password = credentials.partition(":")
    return name, password


def _seconds(duration: str) -> float:
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]
