"""A terminal: what a plan's actions are in s3270's words, and the screens that they lead to. The process itself: see process.py.

1. Values are escaped here and checked before (dialogue.typeable); an operator error spoils the session.
2. Reading a screen is the dearest thing that s3270 does (a write(2) for each row). When the host has sent nothing since the last time, the
   screen is what it was, and after typing only the input fields are read back.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar, cast

from py3270 import CommandError

from adapters.errors import AdapterError, DeadlineExceeded, Misread, Unavailable
from adapters.tn3270.dialogue import Press, Read, Stay, Turns, Type, Wait
from adapters.tn3270.process import Process, Script
from adapters.tn3270.screen import Row, Screen, parse, typed

T = TypeVar("T")
Act = Read | Type | Press | Wait
_SAID_ERROR = (CommandError, ValueError)  # py3270 chokes on an error text that is not ASCII
_HEARD = "Query(StatsRx)"  # records and bytes that the host has sent so far
_READ = f"{_HEARD} ReadBuffer(Ascii)"  # in this order: what comes in between is heard the next time


@dataclass(frozen=True, slots=True)
class Place:
    """Where a terminal connects. `ca` is a PEM file of the authorities to believe; None with `tls` means the machine's own."""

    host: str
    port: int
    tls: bool = False
    verify: bool = True
    ca: str | None = None
    model: str = "3279-2"
    codepage: str = "cp037"

    def argv(self) -> list[str]:
        options = ["-utf8", "-model", self.model, "-codepage", self.codepage]
        options += ["-xrm", "s3270.unlockDelay: False", "-xrm", "s3270.aidWait: false"]
        if self.ca:
            options += ["-cafile", self.ca]
        return ["s3270", *options, *([] if self.verify else ["-noverifycert"])]

    def environment(self) -> dict[str, str]:
        """Reading the machine's whole CA bundle costs 100 ms a connect, which s3270 would pay for plain hosts too."""
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        return env if self.tls and not self.ca else {**env, "SSL_CERT_FILE": "/dev/null"}

    def name(self, lu: str | None) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'L:' if self.tls else ''}{f'{lu}@' if lu else ''}{host}:{self.port}"


class Untaken(Unavailable):
    """The host is there and does not take the connection, perhaps of this LU only."""


class Terminal:
    """One emulated terminal. Any error of its own leaves it dead. `screen` is what its last action led to."""

    screen: Screen

    def __init__(self, place: Place) -> None:
        self._place = place
        self._process = Process(place.argv(), place.environment())
        self._emulator = Script(app=self._process)
        self._rows: dict[bytes, Row] = {}
        self._heard = b""  # when `screen` was read

    @property
    def dead(self) -> bool:
        return self._process.dead

    @property
    def ended(self) -> bool:
        """Whether its process is gone for good."""
        return self._process.ended

    def quiet(self) -> bool:
        """Whether it lives, as far as can be told without asking."""
        return self._process.quiet()

    def connect(self, lu: str | None, deadline: float) -> None:
        """Raises Untaken, Unavailable, DeadlineExceeded."""
        self._process.deadline = deadline
        try:
            self._emulator.connect(self._place.name(lu))
        except _SAID_ERROR as said:
            self.close()
            if "Connection failed" in str(said):  # before a word of telnet was spoken
                raise Unavailable("the host can't be reached") from None
            raise Untaken("the host does not take the connection") from None

    def run(self, plan: Turns[T], deadline: float, stay: float = 0.0) -> T:
        """Walk a plan to its end. What goes wrong here is thrown into it; it raises what it makes of that. When the plan says so, it
        has at least `stay` seconds from then on."""
        try:
            action = next(plan)
            while True:
                if isinstance(action, Stay):
                    deadline = max(deadline, time.monotonic() + stay)
                    action = plan.send(self.screen)
                    continue
                try:
                    screen = self.act(action, deadline)
                except AdapterError as error:
                    action = plan.throw(error)
                else:
                    action = plan.send(screen)
        except StopIteration as end:
            return cast(T, end.value)

    def act(self, action: Act, deadline: float) -> Screen:
        """Do it and say what is shown then. Raises DeadlineExceeded, Unavailable, Misread."""
        told = self._ask(_command(action, deadline), deadline, typing=isinstance(action, Type))
        if isinstance(action, Type) and action.shown:
            expected = typed(self.screen, action.entries)
            if expected and told == [*(text.encode() for _, _, text in action.shown), self._heard]:
                self.screen = expected
                return expected
            told = self._ask(_READ, deadline)
        self._heard = told[0]
        try:
            self.screen, self._rows = parse(told[1:], self._process.status, self._rows)
        except ValueError:
            self.close()
            raise Misread("the terminal's screen can't be read: it is not the rows and columns of cells that s3270 prints") from None
        return self.screen

    def changed(self, deadline: float) -> bool:
        """Whether the host has sent anything since `screen` was read."""
        return self._ask(_HEARD, deadline) != [self._heard]

    def _ask(self, command: str, deadline: float, *, typing: bool = False) -> list[bytes]:
        """The data lines of the answer."""
        if self.dead:  # py3270 has an error of its own for that
            raise Unavailable("the terminal has ended")
        if time.monotonic() >= deadline:  # after that its LU may be somebody else's: nothing more is sent
            self.close()
            raise DeadlineExceeded("the time was up before the host could be asked")
        self._process.deadline = deadline
        try:
            answer = self._emulator.exec_command(command.encode())
        except _SAID_ERROR:
            raise self._failed(deadline, typing) from None
        if not self._connected():
            raise self._failed(deadline, typing)
        return cast(list[bytes], answer.data)

    def _connected(self) -> bool:
        return self._process.status.split()[3].startswith("C(")

    def _failed(self, deadline: float, typing: bool) -> AdapterError:
        """s3270 said `error`. Its words may quote what was typed, so they go nowhere."""
        connected, other = self._connected(), False
        if typing and connected:
            with suppress(*_SAID_ERROR, AdapterError):
                other = self._emulator.exec_command(_HEARD.encode()).data != [self._heard]
        self.close()
        if other:
            return Unavailable("the host sent another screen while a field was filled in")
        if not connected:
            return Unavailable("the host ended the connection")
        if deadline - time.monotonic() < 0.05:
            return DeadlineExceeded("the host did not answer in time")
        return Misread("the host's screen did not take what was typed" if typing else "the host's keyboard stayed locked")

    def kill(self) -> None:
        """End it from any thread."""
        self._process.kill()

    def close(self) -> None:
        """End it, for its owner."""
        self._process.close()
        self._emulator.is_terminated = True  # nothing is left for py3270's __del__ to say Quit to


def _command(action: Act, deadline: float) -> str:
    """One line for s3270. Its waits count whole seconds and are only there to end some time: the deadline is the process's own."""
    seconds = max(1, math.ceil(deadline - time.monotonic()))
    match action:
        case Read():
            return _READ
        case Type(entries, shown):
            back = [*(f"Ascii({row - 1},{column - 1},{len(text)})" for row, column, text in shown), _HEARD] if shown else [_READ]
            return " ".join([*(_entry(*entry) for entry in entries), *back])
        case Press(key):
            name = f"{key[:2].upper()}({key[2:]})" if key[2:].isdecimal() else f"{key.capitalize()}()"
            return f"{name} Wait({seconds},Unlock) {_READ}"
        case Wait(locked):
            return f"Wait({seconds},{'Unlock' if locked else 'Output'}) {_READ}"


def _entry(row: int, column: int, text: str) -> str:
    escaped = text.replace("\\", r"\u005c").replace('"', r"\u0022")  # `\\` and `\"` are read wrongly before the closing quote
    return f'MoveCursor({row - 1},{column - 1}) EraseEOF() String("{escaped}")'
