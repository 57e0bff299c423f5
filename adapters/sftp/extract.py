"""An extract in memory: downloaded when it has changed, proven complete, indexed by its key, shared by all threads."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from adapters.codec.record import DecodeError, RecordCodec
from adapters.errors import AdapterError, DeadlineExceeded, Misread, Unavailable
from adapters.sftp.compiled import Edge, ExtractTarget
from adapters.sftp.door import Door, Stat, left

MOST = 64 * 2**20
_TRIES = 3
_DAY = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One night's file. `places` are the offsets of the records by the bytes of their keys."""

    stamp: tuple[Stat | None, Stat | None]
    data: bytes
    places: Mapping[bytes, int]
    as_of: str | None


@dataclass(slots=True, eq=False)
class Extract:
    """What is held of one target's file; `current` is replaced as a whole, and one thread at a time downloads."""

    target: ExtractTarget
    current: Version | None = None
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def version(self, door: Door) -> Version:
        """The newest complete version. While the next one is being made, that is the one that is held."""
        stamp = self._stamp(door)
        if self.current is not None and (stamp is None or stamp == self.current.stamp):
            return self.current
        if stamp is None:
            raise Unavailable("the extract is not there, or not complete yet")
        if not self._loading.acquire(timeout=left(door.deadline)):
            raise DeadlineExceeded("another thread is still reading the extract")
        try:
            if self.current is None or self.current.stamp != stamp:
                self.current = self._load(door)
            return self.current
        finally:
            self._loading.release()

    def _stamp(self, door: Door) -> tuple[Stat | None, Stat | None] | None:
        """What tells this version from others; None when there is no complete one."""
        done = door.stat(self.target.path + self.target.done_file) if self.target.done_file else None
        if self.target.done_file and done is None:
            return None
        there = door.stat(self.target.path)
        return None if there is None else (there, done)

    def _load(self, door: Door) -> Version:
        """A version that was the same before and after it was read."""
        for _ in range(_TRIES):
            before = self._stamp(door)
            data = door.read(self.target.path, MOST) if before else None
            if before is not None and data is not None and before == self._stamp(door):
                return index(self.target, data, before)
        raise Unavailable("the extract changes while it is read")


def index(target: ExtractTarget, data: bytes, stamp: tuple[Stat | None, Stat | None]) -> Version:
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
    return Version(stamp, data, places, as_of)


def _places(target: ExtractTarget, data: bytes, offsets: range) -> dict[bytes, int]:
    key = target.codec.where(target.key)
    constants = [(target.codec.where(name), target.codec.field_bytes(name, value)) for name, value in target.codec.constants.items()]
    places: dict[bytes, int] = {}
    for at in offsets:
        if any(data[at + where.start : at + where.stop] != raw for where, raw in constants):
            raise Misread(f"the extract's record at byte {at} is not of the copybook's kind")
        places[data[at + key.start : at + key.stop]] = at
    if len(places) != len(offsets):
        raise Misread(f"the extract has the same {target.key} in two records")
    return places


def _edge(edge: Edge | None, data: bytes, at: int, number: int, name: str) -> Any:
    """The field of the header or trailer that counts, once the record is proven to be one."""
    if edge is None:
        return None
    values = decoded(edge.codec, data, number, at)
    if any(values[constant] != value for constant, value in edge.codec.constants.items()):
        raise Misread(f"the extract's {name} is missing: record {number} is another kind of record")
    return values[edge.field] if edge.field else None


def _business_date(value: Any) -> str | None:
    if value is None:
        return None
    met = _DAY.fullmatch(f"{value:08d}" if isinstance(value, int) else str(value))
    try:
        return date(int(met[1]), int(met[2]), int(met[3])).isoformat() if met else _no_date()
    except ValueError:
        return _no_date()


def _no_date() -> str:
    raise Misread("the extract's header has no valid business date")


def decoded(codec: RecordCodec, data: bytes, number: int, at: int) -> dict[str, Any]:
    """A record of a file. Raises Misread."""
    try:
        return codec.decode(data, number, at)
    except DecodeError as bad:
        raise _misread(bad) from None


def _misread(bad: DecodeError) -> AdapterError:
    return Misread(str(bad))
