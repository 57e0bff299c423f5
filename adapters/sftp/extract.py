"""An extract in memory: downloaded when it has changed, proven complete, indexed by its key, shared by all threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from adapters.codec.record import DecodeError, RecordCodec
from adapters.errors import DeadlineExceeded, Misread, Unavailable
from adapters.sftp.compiled import Edge, ExtractTarget
from adapters.sftp.door import Door, Stat, left

MOST = 64 * 2**20
_TRIES = 3
_SETTLE = 1.5  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One night's file. `places` are the offsets of the records by the bytes of their keys."""

    data: bytes = field(repr=False)
    places: Mapping[bytes, int] = field(repr=False)
    as_of: str | None


_Stamp = tuple[Stat, Stat | None]  # of the file and of its done file


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A version and when its stamp was first `seen`. SFTP tells times in whole seconds: a file written anew within the same second
    looks the same, so a version is `settled` only when it was read some time after that."""

    version: Version
    stamp: _Stamp
    seen: float
    settled: bool

    def good(self, stamp: _Stamp, now: float) -> bool:
        return stamp == self.stamp and (self.settled or now - self.seen < _SETTLE)


@dataclass(slots=True, eq=False)
class Extract:
    """What is held of one target's file; it is replaced as a whole, and one thread at a time downloads."""

    target: ExtractTarget
    _held: _Held | None = None
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def version(self, door: Door) -> Version:
        """The newest complete version. While the next one is being made, that is the one that is held."""
        now, stamp, held = time.monotonic(), self._stamp(door), self._held
        if held is not None and (stamp is None or held.good(stamp, now)):
            return held.version
        if stamp is None:
            raise Unavailable("the extract is not there, or not complete yet")
        if held is not None and held.stamp == stamp and self._loading.locked():
            return held.version  # another thread is making sure of it
        if not self._loading.acquire(timeout=left(door.deadline)):
            raise DeadlineExceeded("another thread is still reading the extract")
        try:
            held = self._held
            if held is None or not held.good(stamp, now):
                self._held = held = self._load(door, held)
            return held.version
        finally:
            self._loading.release()

    def _stamp(self, door: Door) -> _Stamp | None:
        """What tells this version from others; None when there is no complete one."""
        done = door.stat(self.target.path + self.target.done_file) if self.target.done_file else None
        if self.target.done_file and done is None:
            return None
        there = door.stat(self.target.path)
        return None if there is None else (there, done)

    def _load(self, door: Door, old: _Held | None) -> _Held:
        """A version that was the same before and after it was read."""
        for _ in range(_TRIES):
            now, before = time.monotonic(), self._stamp(door)
            data = door.read(self.target.path, MOST) if before else None
            if before is not None and data is not None and before == self._stamp(door):
                seen = old.seen if old is not None and old.stamp == before else now
                return _Held(index(self.target, data), before, seen, now - seen >= _SETTLE)
        raise Unavailable("the extract changes while it is read")


def index(target: ExtractTarget, data: bytes) -> Version:
    """Raises Misread for a file that is not whole: cut, without its trailer, miscounted, with a key twice."""
    length = target.codec.length
    if len(data) % length:
        raise Misread(f"the extract does not consist of records of {length} bytes: {len(data) % length} are left over")
    first, last = length if target.header else 0, len(data) - (length if target.trailer else 0)
    if last < first:
        raise Misread("the extract has no header and trailer")
    as_of = _business_date(_edge(target.header, data, 0, 1, "header"))
    count = _edge(target.trailer, data, last, len(data) // length, "trailer")
    places = _places(target, data, range(first, last, length))
    if count is not None and count != len(places):
        raise Misread(f"the extract's trailer counts {count} records, it has {len(places)}")
    return Version(data, places, as_of)


def _places(target: ExtractTarget, data: bytes, offsets: range) -> dict[bytes, int]:
    key = target.codec.where(target.key)
    marks = _marks(target.codec)
    places: dict[bytes, int] = {}
    for at in offsets:
        if not _marked(marks, data, at):
            raise Misread(f"the extract's record at byte {at} is not of the copybook's kind")
        places[data[at + key.start : at + key.stop]] = at
    if len(places) != len(offsets):
        raise Misread(f"the extract has the same {target.key} in two records")
    return places


def _edge(edge: Edge | None, data: bytes, at: int, number: int, name: str) -> Any:
    """The field of the header or trailer that counts, once the record is proven to be one."""
    if edge is None:
        return None
    if not _marked(_marks(edge.codec), data, at):
        raise Misread(f"the extract's {name} is missing: record {number} is another kind of record")
    return decoded(edge.codec, data, number, at)[edge.field] if edge.field else None


_Marks = list[tuple[slice, bytes]]


def _marks(codec: RecordCodec) -> _Marks:
    """What every record of this kind holds: the fields that have a VALUE."""
    return [(codec.where(name), codec.field_bytes(name, value)) for name, value in codec.constants.items()]


def _marked(marks: _Marks, data: bytes, at: int) -> bool:
    return all(data[at + where.start : at + where.stop] == raw for where, raw in marks)


def _business_date(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(f"{value:08d}" if isinstance(value, int) else str(value)).isoformat()
    except ValueError:
        raise Misread("the extract's header has no valid business date") from None


def decoded(codec: RecordCodec, data: bytes, number: int, at: int) -> dict[str, Any]:
    """A record of a file. Raises Misread."""
    try:
        return codec.decode(data, number, at)
    except DecodeError as bad:
        raise Misread(str(bad)) from None
