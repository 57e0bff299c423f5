"""Whether a trail is as it was written: each writer's chain from its first record to its last, across tombstones, and against the anchors.

    without anchors   a record that was changed, taken out, put in or moved, as long as nobody made all hashes after it anew
    with anchors      that too; and what was cut off, a writer that is gone, an old copy put back, what was added after a writer's end
    never             what was done to the records after the last anchor; they are counted

A torn last line is no tampering: its process was killed while it wrote, and nobody was told that it was on record.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wrapper.audit import follow, lines, purge, signing
from wrapper.audit.anchor import PURGED, Anchored, Anchors
from wrapper.audit.follow import Fault, Head, Watch

SLACK = 60.0  # seconds that a writer's first line may take to its file
Stones = Mapping[str, list[tuple[bytes, dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Verified:
    """One writer. `waiting` are its records that no anchor covers yet, the first of them of `since`; `purged` are its tombstones' records.
    `fault` is the first one that was met."""

    writer: str
    records: int
    head: Head
    waiting: int = 0
    since: str = ""
    purged: int = 0
    fault: Fault | None = None


def verify(
    folder: Path, anchors: Anchors | None, public: Ed25519PublicKey | None, between: Callable[[], None] = lambda: None
) -> Iterator[Verified]:
    """Writer by writer; `between` is called after each segment. Raises Fault for anchors that are not sound themselves or not there, and
    OSError."""
    stones: Stones = defaultdict(list)
    if anchors is not None:
        anchors.read()
        if not anchors.n:
            raise Fault(anchors.file, 1, "it holds no anchor: it was emptied, or is another file")
    names = {writer.name for writer in lines.writers(folder)} | ({PURGED} if anchors is not None and PURGED in anchors.heads else set())
    if PURGED in names:
        verified = _one(folder, PURGED, {}, anchors, between)
        if verified.fault is None:
            stones, verified = _stones(folder, verified, public)
        yield verified
    for name in sorted((names | stones.keys() | (anchors.heads.keys() if anchors is not None else set())) - {PURGED}):
        yield _one(folder, name, stones, anchors, between)


def _stones(folder: Path, verified: Verified, public: Ed25519PublicKey | None) -> tuple[Stones, Verified]:
    """The tombstones by writer, none when one of them was not signed by the key."""
    found = defaultdict(list)
    file = folder / PURGED / lines.segment(1)
    for at, line in purge.tombstones(folder):
        if public is not None and not signing.genuine(line, public):
            return {}, replace(verified, fault=Fault(file, at, "this tombstone was not signed by the key"))
        try:
            told = json.loads(line)
            found[str(told["writer"])].append((line, told))
        except (ValueError, KeyError):
            return {}, replace(verified, fault=Fault(file, at, "this is no tombstone"))
    return found, verified


def _one(folder: Path, name: str, stones: Stones, anchors: Anchors | None, between: Callable[[], None]) -> Verified:
    known = anchors.heads.get(name) if anchors is not None else None
    head, purged, watch = Head(), 0, Watch(known.head.n if known is not None else 0, lines.START)
    try:
        for line, stone in stones.get(name, ()):
            head = _under(folder / name, head, stone)
            purged += stone["count"]
            watch.seen(head.n, head.hash, line)
        head = _followed(folder / name, head, watch, between)
        if known is not None:
            _as_anchored(folder / name, head, known, watch)
        elif anchors is not None:
            _began_since(folder / name, anchors)
    except (Fault, KeyError, TypeError) as error:
        fault = error if isinstance(error, Fault) else Fault(folder / name, 0, "its tombstone is none that Figway makes")
        return Verified(name, head.n - purged, head, purged=purged, fault=fault)
    waiting = head.n - (known.head.n if known is not None else 0)
    return Verified(name, head.n - purged, head, waiting if anchors is not None else 0, watch.after, purged)


def _under(writer: Path, head: Head, stone: Mapping[str, Any]) -> Head:
    """The head after what a tombstone stands for."""
    place = writer / lines.segment(head.segment + 1)
    if (stone["segment"], stone["first"], stone["count"]) != (head.segment + 1, head.n + 1, stone["last"] - head.n):
        raise Fault(place, 1, f"its tombstone does not follow record {head.n} of segment {head.segment}")
    return purge.buried(stone)


def _followed(writer: Path, head: Head, watch: Watch, between: Callable[[], None]) -> Head:
    """As follow.chain, of segments after the tombstones; what a purge was about to take away may be there yet."""
    for file in lines.segments(writer):
        if int(file.stem) > head.segment:
            head = follow.follow(file, head, watch)
            between()
    return head


def _as_anchored(writer: Path, head: Head, known: Anchored, watch: Watch) -> None:
    last = writer / lines.segment(max(head.segment, 1))
    at = head.n - head.first + 1
    if head.n < known.head.n:
        raise Fault(last, at, f"it ends with record {head.n}, and was anchored up to record {known.head.n}: records are missing")
    if watch.hash != known.head.hash:
        raise Fault(
            last, max(known.head.n - head.first + 1, 1), f"record {known.head.n}, or one before it, is not the one that was anchored"
        )
    if known.over and head.n > known.head.n:
        raise Fault(last, at, f"its writer had ended with record {known.head.n}: what follows was added")
    if known.over and last.exists() and head.torn != known.head.torn:
        raise Fault(last, at + 1, "its writer had ended, and what follows the last whole record is not what was anchored")


def _began_since(writer: Path, anchors: Anchors) -> None:
    """A writer of before the last anchor is in the anchors, or was put there afterwards."""
    files = lines.segments(writer)
    if not files or not anchors.at:
        return
    with files[0].open("rb") as opened:
        began = follow.written(opened.readline(follow.LONGEST))
    if began and _moment(anchors.at) - _moment(began) > SLACK:
        raise Fault(files[0], 1, f"its writer began at {began}, and no anchor up to {anchors.at} knows of it")


def _moment(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
