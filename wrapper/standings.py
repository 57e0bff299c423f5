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
from wrapper.migration.decide import Standing
from wrapper.problems import NotReady
from wrapper.state.stages import Move

POLL = 0.2
LEGACY = Standing("legacy")
LAST = "stages.json"
"""In the store's folder."""


class Moves(Protocol):
    """Where moves are kept (the state store). Both raise NotReady."""

    folder: Path

    def stages_number(self) -> int: ...

    def standings(self) -> tuple[int, dict[str, Move]]: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """As of the move of this number, with the kill file's words."""

    number: int
    standings: Mapping[str, Standing]
    killed: frozenset[str]


class Standings:
    """Thread-safe. The thread begins with the first question: a process that has nothing to move asks nothing."""

    def __init__(self, moves: Moves) -> None:
        self._moves, self._folder = moves, moves.folder
        self._known: _Known | None = None
        self._first, self._stop = threading.Lock(), threading.Event()

    def of(self, endpoint: str) -> Standing:
        """Raises NotReady when it was never known here."""
        known = self._known or self._begin()
        standing = known.standings.get(endpoint, LEGACY)
        if known.killed and kill_file.holds(known.killed, endpoint) and (standing.stage != "retired" or endpoint in known.killed):
            return LEGACY  # what is retired may have no legacy side any more: whoever wants it back names it
        return standing

    def placed(self, endpoint: str) -> Standing:
        """Where it stands by its moves alone, whatever this host's kill file says. Raises NotReady."""
        return (self._known or self._begin()).standings.get(endpoint, LEGACY)

    def killed(self, endpoint: str) -> bool:
        """Whether this host's kill file names it."""
        known = self._known or self._begin()
        return kill_file.holds(known.killed, endpoint)

    def close(self) -> None:
        self._stop.set()

    def _begin(self) -> _Known:
        with self._first:
            if self._known is None:
                try:
                    self._known = self._asked(None)
                except NotReady:
                    self._known = self._left()
                threading.Thread(target=self._run, name="figway-standings", daemon=True).start()
            return self._known

    def _run(self) -> None:
        while not self._stop.wait(POLL):
            try:
                self._known = self._asked(self._known)
            except NotReady:
                if self._known is not None:
                    self._known = _Known(self._known.number, self._known.standings, self._killed())
            except Exception as error:  # noqa: BLE001 - it must go on asking
                log.get().error("standings", outcome=type(error).__name__, exc_info=error)

    def _asked(self, known: _Known | None) -> _Known:
        killed = self._killed()
        if known is not None and self._moves.stages_number() == known.number:
            return known if killed == known.killed else _Known(known.number, known.standings, killed)
        number, moves = self._moves.standings()
        standings = {name: move.standing for name, move in moves.items()}
        self._leave(standings)
        return _Known(number, standings, killed)

    def _killed(self) -> frozenset[str]:
        return frozenset(kill_file.read(self._folder))

    def _leave(self, standings: Mapping[str, Standing]) -> None:
        """For a process that begins while the store is away."""
        told = {n: [s.stage, str(s.share), {c: str(share) for c, share in s.consumers.items()}] for n, s in standings.items()}
        fresh = self._folder / f"{LAST}.{os.getpid()}"
        with suppress(OSError):
            fresh.write_text(json.dumps({"at": time.time(), "standings": told}), encoding="utf-8")
            fresh.replace(self._folder / LAST)

    def _left(self) -> _Known:
        try:
            told = json.loads((self._folder / LAST).read_text(encoding="utf-8"))["standings"]
            standings = {
                name: Standing(stage, Decimal(share), {consumer: Decimal(part) for consumer, part in consumers.items()})
                for name, (stage, share, consumers) in told.items()
            }
        except (OSError, ValueError, KeyError, TypeError):
            raise NotReady("where this endpoint stands is not known: the state store is away since before this process began") from None
        return _Known(-1, standings, self._killed())
