"""Anchors: what every writer's chain has come to, signed, numbered, chained and kept where whoever can change the trail can't change it.

A line of the anchor file says of the writers that have gone on since the line before: number and hash of the last record, and whether the
writer has ended. A writer that died is marked as ended with its last whole record, so that what is added to it afterwards is found. What
follows the last anchor is not covered yet: that window is one turn long, and `figway audit verify` prints it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wrapper.audit import follow, lines, signing
from wrapper.audit.follow import Fault, Head
from wrapper.settings import BadSettings, Settings

PATIENCE = 10.0  # seconds that another process is waited for
NOTHING = (
    "nothing is anchored: what was cut off at an end, a writer that is gone and an old copy put back can't be told; "
    "set FIGWAY_AUDIT_KEY and FIGWAY_AUDIT_ANCHOR"
)
PURGED = "purged"
"""The folder of the tombstones: a chain of its own, which many processes go on with, and which never ends."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """What an anchor says of a writer; `over`: nothing may come after it."""

    head: Head
    over: bool = False


class Anchors:
    """The lines of an anchor file, read as far as they go; read() goes on from there."""

    def __init__(self, file: Path, public: Ed25519PublicKey | None) -> None:
        self.file, self._public = file, public
        self.heads: dict[str, Anchored] = {}
        self.n, self.hash, self.at, self.torn = 0, lines.START, "", 0
        self._bytes = self._lines = 0

    def read(self) -> None:
        """Raises Fault: a line is missing, was changed, or was not signed by this key. The last line's signature covers all before it."""
        last, at = b"", self._lines
        with self.file.open("rb") as opened:
            if opened.seek(0, os.SEEK_END) < self._bytes:
                raise Fault(self.file, at, "anchors are missing that were here before")
            opened.seek(self._bytes)
            while (line := opened.readline()).endswith(b"\n"):
                if self._take(line):
                    last, at = line, self._lines
        if last and self._public is not None and not signing.genuine(last[:-1], self._public):
            raise Fault(self.file, at, "the last anchor was not signed by this key, or was changed")

    def _take(self, line: bytes) -> bool:
        """Whether it is a whole one. Of one that a full disk cut short only a part is there, and the next one began behind it."""
        self._bytes, self._lines = self._bytes + len(line), self._lines + 1
        if not line.startswith(b'{"n":') or not line.endswith(b'"}\n'):
            self.torn += 1
            return False
        if not line.startswith(lines.beginning(self.n + 1, self.hash)):
            raise Fault(self.file, self._lines, f"anchor {self.n + 1} is due here: an anchor is missing, or was changed, moved or added")
        told = json.loads(line)
        self.n, self.hash, self.at = self.n + 1, lines.digest(line[:-1]), told["at"]
        self.heads |= {id: Anchored(Head(**{k: v for k, v in w.items() if k != "over"}), w["over"]) for id, w in told["writers"].items()}
        return True


class Anchor:
    """Writes them. One object a process; any number of processes."""

    def __init__(self, folder: Path, key: Path, file: Path) -> None:
        """Raises BadSettings for a key that can't be used, or that lies with what it vouches for."""
        self.folder, self.file = folder, file
        if folder.resolve() in (*key.resolve().parents, *file.resolve().parents):
            raise BadSettings("the audit key and the anchor file must lie outside of the audit trail's folder")
        self.key: Ed25519PrivateKey = signing.private(key)
        self._anchors = Anchors(file, self.key.public_key())

    def turn(self) -> list[Fault]:
        """Anchor what there is. What is not as it was anchored stays as it was in the anchors, and is returned. Raises OSError, Fault."""
        there = self.folder.is_dir()
        with locked(self.folder) if there else nullcontext():
            if self.file.exists():
                self._anchors.read()
            if not there:
                return self._lost(set())
            at, gone_on, writers = lines.now(), dict[str, Anchored](), lines.writers(self.folder)
            faults = self._lost({writer.name for writer in writers})
            for writer in writers:
                known = self._anchors.heads.get(writer.name, Anchored(Head()))
                try:
                    found = known if known.over else _looked(writer, known.head)
                except Fault as fault:
                    faults.append(fault)
                    continue
                if found != known:
                    gone_on[writer.name] = found
            if gone_on:
                self._add(at, gone_on)
        return faults

    def _lost(self, there: Set[str]) -> list[Fault]:
        gone, heads = "it was anchored, and is not there any more", self._anchors.heads
        return [Fault(self.folder / id, 0, gone) for id in sorted(heads.keys() - there) if not heads[id].over]

    def _add(self, at: str, writers: Mapping[str, Anchored]) -> None:
        told = {id: {**asdict(anchored.head), "over": anchored.over} for id, anchored in writers.items()}
        body = lines.packed({"at": at, "writers": told})
        line = signing.signed(lines.linked(self._anchors.n + 1, self._anchors.hash, body), self.key)
        file = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_DSYNC, 0o644)
        try:
            size = os.fstat(file).st_size
            cut = b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""  # a line that a full disk cut short stays as it is
            whole = cut + line + b"\n"
            if os.write(file, whole) != len(whole):
                raise OSError("the anchor file is full")
        finally:
            os.close(file)
        self._anchors.read()


def _looked(writer: Path, head: Head) -> Anchored:
    """What a writer has come to since."""
    over = writer.name != PURGED and not alive(writer)  # asked before it is read: then nothing more can come of it
    found = _gone_on(writer, head)
    return Anchored(found if over else replace(found, torn=""), over)


def _gone_on(writer: Path, head: Head) -> Head:
    files = lines.segments(writer)
    if head.segment and not any(int(file.stem) == head.segment and file.stat().st_size >= head.bytes for file in files):
        raise Fault(writer, 0, f"{writer.name} was anchored up to record {head.n}, and is shorter now")
    return follow.chain(writer, head)


def alive(writer: Path) -> bool:
    """Whether the process that writes there lives: it holds the folder's lock. One that has just begun may be about to take it."""
    if not lines.segments(writer):
        return True
    file = os.open(writer, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def folder(settings: Settings, beside: Path) -> Path:
    """Where the trail is: `beside` the store, unless the settings say otherwise."""
    return settings.audit or beside / "audit"


def anchoring(settings: Settings, beside: Path) -> Anchor | None:
    """What anchors, when it is set up. Raises BadSettings when it is half set up, or can't be used."""
    if settings.audit_key is None and settings.audit_anchor is None:
        return None
    if settings.audit_key is None or settings.audit_anchor is None:
        raise BadSettings("to anchor the audit trail takes both FIGWAY_AUDIT_KEY and FIGWAY_AUDIT_ANCHOR")
    return Anchor(folder(settings, beside), settings.audit_key, settings.audit_anchor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time anchors, or purges. Raises OSError when another one does for long."""
    file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.05)
        yield
    finally:
        with suppress(OSError):
            os.close(file)


def public_of(file: Path | None, key: Path | None) -> Ed25519PublicKey | None:
    """The key to verify with: the public one, or that of the private one. Raises BadSettings."""
    if file is not None:
        return signing.public(file)
    return signing.private(key).public_key() if key is not None else None
