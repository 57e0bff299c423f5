"""Where every endpoint stands, as a process knows it: polled from the state store, so that no request waits for that.

A move reaches every worker of every host within a second: one thread asks for the number of moves every POLL seconds. While the store is
away things stand as they were last known; a process that begins then takes what another one on this host has left in a file. The kill
file (kill_file.py) puts endpoints back to legacy on this host, whatever the store says or can't say.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from wrapper import kill_file, log
from wrapper.migration.decide import LEGACY, Standing
from wrapper.migration.moves import Move
from wrapper.problems import NotReady

POLL = 0.2
FIRST = 1.0  # seconds that a request waits for others to find out where things stand
NOTED, AGED = 600.0, 86400.0  # seconds after which the file is written again, and after which nobody goes by it
LAST = "stages.json"
"""In the store's folder."""


class Moves(Protocol):
    """Where moves are kept (the state store). Both raise NotReady."""

    folder: Path

    def stages_number(self) -> int: ...

    def standings(self) -> tuple[int, dict[str, Move]]: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """As of the move of this number."""

    number: int
    standings: Mapping[str, Standing]


class Standings:
    """Thread-safe. The thread begins with the first question: a process that has nothing to move asks nothing."""

    def __init__(self, moves: Moves) -> None:
        self._moves, self._folder = moves, moves.folder
        self._known: _Known | None = None
        self._held: frozenset[str] = frozenset()  # what the kill file says
        self._polled, self._left_at, self._looked = False, 0.0, 0.0
        self._first, self._stop = threading.Lock(), threading.Event()

    def of(self, endpoint: str) -> Standing:
        """Raises NotReady when it was never known here."""
        standing = self._now().standings.get(endpoint, LEGACY)
        if self.killed(endpoint) and (standing.stage != "retired" or endpoint in self._held):
            return LEGACY  # what is retired may have no legacy side any more: whoever wants it back names it
        return standing

    def placed(self, endpoint: str) -> Standing | None:
        """Where it stands by its moves alone, whatever this host's kill file says; None before the first one. Raises NotReady."""
        return self._now().standings.get(endpoint)

    def killed(self, endpoint: str) -> bool:
        """Whether this host's kill file names it. Who asks looks into it now and then: it waits for no store, as the thread may."""
        if time.monotonic() - self._looked >= POLL:
            self._looked = time.monotonic()
            self._held = frozenset(kill_file.read(self._folder))
        return bool(self._held) and kill_file.holds(self._held, endpoint)

    def close(self) -> None:
        self._stop.set()

    def _now(self) -> _Known:
        known = self._known
        return known if known is not None and self._polled else self._begin()

    def _begin(self) -> _Known:
        """What is known, by a process that asks for more: without its thread it would never hear of another move."""
        if not self._first.acquire(timeout=FIRST):
            raise _unknown()
        try:
            if not self._polled:
                try:
                    self._known = self._asked(self._known)
                except NotReady:
                    self._known = self._known or self._left()
                with suppress(RuntimeError):  # no thread to be had: who comes next asks, and tries again
                    threading.Thread(target=self._run, name="figway-standings", daemon=True).start()
                    self._polled = True
            assert self._known is not None
            return self._known
        finally:
            self._first.release()

    def _run(self) -> None:
        while not self._stop.wait(POLL):
            try:
                self._known = self._asked(self._known)
            except NotReady:
                pass
            except Exception as error:  # noqa: BLE001 - it must go on asking
                log.get().error("standings", outcome=type(error).__name__, exc_info=error)

    def _asked(self, known: _Known | None) -> _Known:
        number, standings = self._found(known)
        if known is None or number != known.number or time.monotonic() - self._left_at >= NOTED:
            self._leave(standings)
        return _Known(number, standings)

    def _found(self, known: _Known | None) -> tuple[int, Mapping[str, Standing]]:
        if known is not None and self._moves.stages_number() == known.number:
            return known.number, known.standings
        number, moves = self._moves.standings()
        return number, {name: move.standing for name, move in moves.items()}

    def _leave(self, standings: Mapping[str, Standing]) -> None:
        """For a process that begins while the store is away."""
        told = {n: [s.stage, str(s.share), {c: str(share) for c, share in s.consumers.items()}] for n, s in standings.items()}
        fresh = self._folder / f"{LAST}.{os.getpid()}"
        self._left_at = time.monotonic()
        with suppress(OSError):
            fresh.write_text(json.dumps({"at": time.time(), "standings": told}), encoding="utf-8")
            fresh.replace(self._folder / LAST)

    def _left(self) -> _Known:
        """Of a day ago at most: who goes by what is older could ask a side that has been switched off since."""
        try:
            told = json.loads((self._folder / LAST).read_text(encoding="utf-8"))
            if abs(time.time() - told["at"]) > AGED:
                raise _unknown()
            standings = {
                name: Standing(stage, Decimal(share), {consumer: Decimal(part) for consumer, part in consumers.items()})
                for name, (stage, share, consumers) in told["standings"].items()
            }
        except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
            raise _unknown() from None
        return _Known(-1, standings)


def _unknown() -> NotReady:
    return NotReady("where this endpoint stands is not known: the state store is away since before this process began")
