"""A live 3270 system: a pool of signed-on sessions, one user on one LU each, and calls that walk them.

A session that was left in doubt is never used again: it is signed off where that is quickly possible, its process is killed, and only
then is its LU given back. Who may sign on: see users.py.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from adapters import clear
from adapters.base import Adapter, Call, Events, Files, Leases, Reply
from adapters.blocks import seconds
from adapters.errors import AdapterError, BadLogon, DeadlineExceeded, Misconfigured, Refused, Unavailable
from adapters.events import SILENT
from adapters.pool import Pool
from adapters.tn3270.check import load
from adapters.tn3270.definition import Graph
from adapters.tn3270.dialogue import Read
from adapters.tn3270.emulator import Place, Terminal, Untaken
from adapters.tn3270.plan import InUse, Outcome, Question, greet, keep_awake, question, rests, sign_off, sign_on, use
from adapters.tn3270.users import Seat, User, Users

SIGN_OFF = 0.5  # seconds that signing off one session, or a look at it, may take
CLOSING = 3.0  # seconds after which close() kills what has not ended by itself
MARGIN = 2.0  # seconds after a call's deadline within which its session has certainly ended or come to rest
TICK = 0.2  # seconds between two looks at the sessions at rest
GAP = 0.1  # seconds, about, between two sign-ons of a process
HEARD = 10.0  # seconds for which the host's word on a password is waited for, whoever asked
HEARING = 0.2  # seconds that a sign-on has after the deadline to say why it failed
AWAKE = 2.0  # seconds that keeping a session awake may take


def open(name: str, system: Mapping[str, Any], files: Files, leases: Leases, events: Events = SILENT) -> Adapter:
    """See base.AdapterModule."""
    return Tn3270(name, system, load(files, system["logon"]), leases, events)


@dataclass(slots=True, eq=False)
class Session:
    """A signed-on terminal; `touched` is when it was last kept awake, in monotonic seconds."""

    terminal: Terminal
    seat: Seat
    touched: float


class Tn3270:
    """One system. Thread-safe: a session is one caller's at a time."""

    def __init__(self, name: str, system: Mapping[str, Any], graph: Graph, leases: Leases, events: Events) -> None:
        self.name, self._graph, self._leases, self._events = name, graph, leases, events
        self._authorities, self._place = _place(name, system)
        sessions = system.get("sessions", {})
        users = [User(user["lu"], user["credentials"]) for user in system["users"]][: sessions.get("max")]
        self._users = Users(name, users, leases)
        self._awake = sessions.get("keep_alive")
        self._live: set[Terminal] = set()
        self._barred = 0  # users, when they were counted last
        self._lock = threading.Lock()
        self._until = float("inf")  # when close() ends its patience
        self._pool: Pool[Session] = Pool(
            name,
            partial(self._open, needed=True),
            self._close,
            size=len(users),
            idle=seconds(sessions.get("idle_logoff", "10m")),
            recycle_after=sessions.get("recycle_after", 0),
            fit=self._fit,
            tend=self._tend,
            tick=TICK,
            least=min(sessions.get("min", 0), len(users)),
            warm=partial(self._open, needed=False),
            gap=GAP,
            events=events,
        )

    def call(self, call: Call) -> Reply:
        """See base.Adapter."""
        try:
            asked = question(call.target, call.params, self._place.codepage)
            call.left()
            outcome, by = None, ""
            while outcome is None:
                with self._pool.lease(call.deadline, background=call.background) as session:
                    if self._ours(session, call.deadline + MARGIN):
                        outcome, by = self._asked(session.terminal, call, asked), f"{session.seat.user} at {session.seat.lu}"
        except AdapterError as error:
            error.backend = self.name
            raise
        return Reply(outcome.records, self.name, pages=outcome.pages, by=by)

    def _asked(self, terminal: Terminal, call: Call, asked: Question) -> Outcome:
        outcome = terminal.run(use(call.target, asked, terminal.screen, call.acting), call.deadline)
        if not outcome.clean:
            terminal.close()
        return outcome

    def probe(self, timeout: float) -> None:
        """The host shows where a sign-on would begin, to a terminal without a user; and somebody may sign on."""
        deadline = time.monotonic() + timeout
        terminal = self._start(None, deadline)
        try:
            terminal.run(greet(self._graph), deadline)
        finally:
            self._end(terminal)
        self._count_barred(deadline)
        if self._barred == self._pool.size:
            raise BadLogon(f"{self.name} refuses the credential of every user", backend=self.name)

    def _count_barred(self, deadline: float) -> None:
        """Raises an AdapterError when it can't be known."""
        self._barred = self._users.barred(deadline)
        self._events.level("users_barred", self.name, self._barred)

    def close(self) -> None:
        """See base.Adapter."""
        self._until = min(self._until, time.monotonic() + CLOSING)
        self._pool.close()
        self._empty(self._until)
        for terminal in self._terminals():
            terminal.kill()
        self._empty(time.monotonic() + SIGN_OFF)  # their owners give their LUs back
        if self._authorities:
            self._authorities.close()

    def _empty(self, until: float) -> None:
        while self._terminals() and time.monotonic() < until:
            time.sleep(0.02)

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

    def _end(self, terminal: Terminal, seat: Seat | None = None) -> None:
        """Its process is dead before anybody else may have its LU; one that can't be killed keeps it."""
        terminal.close()
        if seat and terminal.ended:
            self._users.give(seat.lease)
        with self._lock:
            self._live.discard(terminal)

    def _open(self, deadline: float, *, needed: bool) -> Session:
        """A sign-on has a thread of its own and may outlast its caller: once a password was sent, what the host says to it is heard."""
        while True:
            seat, made = self._users.take(deadline, needed=needed), Future[Session]()
            work = threading.Thread(target=self._seated, args=(seat, deadline, made), name=f"figway-logon-{self.name}", daemon=True)
            try:
                work.start()
            except RuntimeError:
                self._users.give(seat.lease)
                raise Unavailable(f"there is no thread left to sign on to {self.name}") from None
            wait([made], max(0.0, deadline - time.monotonic()) + HEARING)
            if made.cancel():
                raise DeadlineExceeded(f"signing on to {self.name} took too long")
            with suppress(InUse, Untaken, BadLogon):  # what ails one user is no trouble as long as there is another
                return made.result()

    def _seated(self, seat: Seat, deadline: float, made: Future[Session]) -> None:
        try:
            session, error = self._signed_on(seat, deadline), None
        except BaseException as failure:  # noqa: BLE001 - it is the caller's
            session, error = None, failure
        if not made.set_running_or_notify_cancel():
            if session:
                self._pool.add(session)
        elif session:
            made.set_result(session)
        else:
            made.set_exception(error)

    def _signed_on(self, seat: Seat, deadline: float) -> Session:
        """Raises an AdapterError; then the seat has been given back, and is barred when its credential was refused."""
        began, terminal = time.monotonic(), None
        try:
            terminal = self._start(seat.lu, deadline)
            terminal.run(sign_on(self._graph, seat.user, seat.password, self._place.codepage), deadline, HEARD)
        except BaseException as error:
            if terminal:
                terminal.close()
            if isinstance(error, Refused | BadLogon):
                self._leases.bar(seat.bar)  # before anybody can take it
                self._events.happened("logon_refused", self.name)
            if isinstance(error, InUse | Untaken):
                self._users.aside(seat.lease, untaken=isinstance(error, Untaken))
                self._events.happened("lu_refused", self.name)
            else:
                self._users.last(seat.lease)
            if terminal:
                self._end(terminal, seat)
            else:
                self._users.give(seat.lease)
            if isinstance(error, Refused | BadLogon):
                with suppress(AdapterError):
                    self._count_barred(deadline)
            if isinstance(error, Refused):
                raise BadLogon(f"the credential of {seat.lu} can't be typed: {error.detail}") from None
            raise
        self._users.good(seat.lease)
        if self._barred:  # perhaps its credential has changed
            with suppress(AdapterError):
                self._count_barred(deadline)
        now = time.monotonic()
        self._events.happened("session_opened", self.name)
        self._events.took("logon", self.name, now - began)
        return Session(terminal, seat, now)

    def _ours(self, session: Session, until: float) -> bool:
        """Whether its LU is ours until then. When not, somebody else may be about to use it: the terminal ends at once."""
        if self._leases.holds(session.seat.lease, until):
            return True
        session.terminal.close()
        self._events.happened("lease_lost", self.name)
        return False

    def _fit(self, session: Session, idle: float) -> bool:
        """Whether a session that has rested is still signed on; looks at what it shows now when that has changed."""
        until = time.monotonic() + SIGN_OFF
        try:
            return not session.terminal.changed(until) or rests(self._graph, session.terminal.act(Read(), until))
        except AdapterError:
            return False

    def _tend(self, session: Session, idle: float) -> bool:
        """Whether to keep a session that is at rest: it lives, its LU is ours, and nobody else waits for it. May keep it awake."""
        now = time.monotonic()
        if session.terminal.dead or (idle and not (session.terminal.quiet() and self._ours(session, now))):
            return False
        if self._leases.wanted(session.seat.lease):
            self._events.happened("handed_over", self.name)
            return False
        if self._awake and idle and min(idle, now - session.touched) >= seconds(self._awake["every"]):
            session.touched = now
            return self._kept_awake(session.terminal, now + AWAKE)
        return True

    def _kept_awake(self, terminal: Terminal, deadline: float) -> bool:
        try:
            terminal.run(keep_awake(self._graph, self._awake["press"]), deadline)
        except AdapterError:
            return False
        return rests(self._graph, terminal.screen)

    def _close(self, session: Session) -> None:
        deadline, how = min(time.monotonic() + SIGN_OFF, self._until), "session_killed"
        if not session.terminal.dead and deadline > time.monotonic():
            with suppress(AdapterError):
                session.terminal.run(sign_off(self._graph), deadline)
                how = "session_closed"
        self._end(session.terminal, session.seat)
        self._events.happened(how, self.name)


def _place(name: str, system: Mapping[str, Any]) -> tuple[Any, Place]:
    """Where to connect, and the file that holds the authorities when the system's block has their text. Raises Misconfigured."""
    tls, file = system.get("tls"), None
    if tls is None or not tls.get("verify", True):
        clear.refuse(name, system["host"], system, "give it `tls: {verify: true}`")
    port = str(system.get("port", 992 if tls is not None else 23))
    if not port.isdecimal():
        raise Misconfigured("the port is not a number", backend=name)
    ca = (tls or {}).get("ca")
    if ca and ca.lstrip().startswith("-----BEGIN"):
        file = tempfile.NamedTemporaryFile("w", prefix="figway-ca-", suffix=".pem")  # noqa: SIM115
        file.write(ca)
        file.flush()
        ca = file.name
    place = Place(
        system["host"],
        int(port),
        tls is not None,
        (tls or {}).get("verify", True),
        ca,
        system.get("model", "3279-2"),
        system.get("codepage", "cp037"),
    )
    return file, place
