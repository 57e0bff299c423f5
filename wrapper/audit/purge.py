"""Segments that need not be kept any longer go as a whole, and a signed tombstone stays in the place of each: whose it was, from which
record to which, the last one's hash, who took it away and why. So a chain verifies across what is gone.

A segment goes when it is closed, sound, anchored where there are anchors, and when its last record is of before the date. Tombstones are a
chain of their own, which is anchored like the others.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wrapper.audit import follow, lines, signing
from wrapper.audit.anchor import PURGED, Anchor, alive, locked
from wrapper.audit.follow import Fault, Head, Watch
from wrapper.units import DAY, HOUR, iso


def purge(folder: Path, before: str, who: str, why: str, anchor: Anchor | None = None) -> int:
    """How many segments have gone whose last record was made before that time (as records say it, like 2026-11-26). Raises Fault: what is
    not sound stays, as evidence. Without an `anchor` nobody vouches for the tombstones."""
    if not folder.is_dir():
        return 0
    if anchor is not None and (faults := anchor.turn()):
        raise faults[0]
    with locked(folder):
        stones, gone = _tombs(folder), 0
        for writer in lines.writers(folder):
            if writer.name != PURGED:
                dead = not alive(writer)
                for number, head, records in _closed(writer, dead, stones.get(writer.name), before):
                    about = {
                        "kind": "purged", "writer": writer.name, "segment": number, "first": head.first, "last": head.n, "hash": head.hash,
                        "count": records, "ended": head.ended, "at": lines.now(), "who": who, "why": why,
                    }  # fmt: skip
                    _bury(folder / PURGED, about, anchor.key if anchor is not None else None)
                    (writer / lines.segment(number)).unlink()
                    gone += 1
                if dead and not lines.segments(writer):
                    writer.rmdir()
    if anchor is not None and gone:
        anchor.turn()
    return gone


class Upkeep:
    """What a trail needs while it is written: that it is anchored, and rid of what was `kept` for so many seconds."""

    def __init__(self, folder: Path, anchor: Anchor | None, kept: float, clock: Callable[[], float] = time.time) -> None:
        self._folder, self.anchor, self._kept, self._clock = folder, anchor, kept, clock
        self._due = 0.0

    def turn(self) -> list[Fault]:
        """What is not as it was anchored. Raises Fault, OSError."""
        faults = self.anchor.turn() if self.anchor is not None else []
        now = self._clock()
        if now >= self._due and not faults:
            self._due = now + HOUR
            purge(self._folder, iso(now - self._kept), "figway", f"{self._kept / DAY:.0f} days are over", self.anchor)
        return faults


def tombstones(folder: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of the tombstones' chain, without its head, and which ones they are."""
    for file in lines.segments(folder / PURGED):
        with file.open("rb") as opened:
            for at, line in enumerate(opened, 1):
                if at > 1 and line.endswith(b"\n"):
                    yield at, line[:-1]


def buried(stone: Mapping[str, Any]) -> Head:
    """What a chain goes on from after a tombstone."""
    return Head(stone["last"], stone["hash"], stone["segment"], 0, stone["first"], stone["ended"])


def _tombs(folder: Path) -> dict[str, Head]:
    """The last tombstone of each writer."""
    stones = (json.loads(line) for _, line in tombstones(folder))
    return {stone["writer"]: buried(stone) for stone in stones}


def _closed(writer: Path, dead: bool, head: Head | None, before: str) -> Iterator[tuple[int, Head, int]]:
    """The segments that may go, one after the other; one that a purge was about to take away when it was killed goes first."""
    head = head or Head()
    files = lines.segments(writer)
    for file in list(files):
        if int(file.stem) <= head.segment:
            file.unlink()
            files.remove(file)
    for file in files:
        watch = Watch()
        head = follow.follow(file, head, watch)
        if not (dead or file is not files[-1]) or not follow.written(watch.last) or follow.written(watch.last) >= before:
            return
        yield int(file.stem), head, head.n - head.first + 1
        head = replace(head, torn="")


def _bury(folder: Path, about: Mapping[str, Any], key: Ed25519PrivateKey | None) -> None:
    """One more line of the tombstones' chain, durable."""
    folder.mkdir(mode=0o700, exist_ok=True)
    head = follow.chain(folder)
    file = os.open(folder / lines.segment(1), os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_DSYNC, 0o600)
    try:
        if head.torn:  # a purge was killed while it wrote
            os.ftruncate(file, head.bytes)
        made, n, prev = b"", head.n, head.hash
        if not n:
            made = lines.linked(1, prev, lines.packed({"kind": "segment", "writer": PURGED, "segment": 1, "at": lines.now()}))
            n, prev, made = 1, lines.digest(made), made + b"\n"
        line = lines.linked(n + 1, prev, lines.packed(about))
        made += (signing.signed(line, key) if key is not None else line) + b"\n"
        if os.write(file, made) != len(made):  # the segment stays where its tombstone has no room
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)
