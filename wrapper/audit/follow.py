"""Following a chain from line to line: who anchors it, purges it and verifies it does this, and so they agree on what a sound one is.

A last line that is not whole is torn: its process was killed while it wrote, and nobody was told that it was durable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from wrapper.audit.lines import START, beginning, digest, segments

LONGEST = 1024 * 1024  # bytes of a line
_BEGINNING = re.compile(rb'\{"n":(\d{1,18}),"prev":"([0-9a-f]{64})",')
_AT = re.compile(rb'"at":"([0-9T:.Z-]{20,30})"')
END = b'"kind":"end"'


class Fault(Exception):
    """The first place of a chain that is not as it was written."""

    def __init__(self, file: Path, line: int, what: str) -> None:
        super().__init__(f"{file}:{line}: {what}")
        self.file, self.line, self.what = file, line, what


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain was followed: the number and the hash of its last whole line, which lies in this segment, `bytes` from its start;
    `first` is the number of the segment's first line. `torn` tells what follows, by its length and hash."""

    n: int = 0
    hash: str = START
    segment: int = 0
    bytes: int = 0
    first: int = 1
    ended: bool = False
    torn: str = ""


@dataclass(slots=True)
class Watch:
    """What is looked for on the way: the hash of line `n`, and when the first line after it, and the last one, were written."""

    n: int = 0
    hash: str = ""
    after: str = ""
    last: bytes = field(default=b"", repr=False)

    def seen(self, n: int, hash: str, line: bytes) -> None:
        if n == self.n:
            self.hash = hash
        elif n == self.n + 1:
            self.after = written(line)
        self.last = line


def written(line: bytes) -> str:
    """When a record was made; '' where it does not say."""
    found = _AT.search(line)
    return found[1].decode() if found else ""


def chain(folder: Path, head: Head | None = None) -> Head:
    """The head of what a writer's folder holds from `head` on. Raises Fault, OSError."""
    head = head or Head()
    for file in segments(folder):
        if int(file.stem) >= head.segment:
            head = follow(file, head)
    return head


def follow(file: Path, head: Head, watch: Watch | None = None) -> Head:
    """The head after this segment, which is the one after that of `head`, or goes on with it."""
    number = int(file.stem)
    if number != head.segment:
        head = _entered(file, number, head)
    n, prev, size, ended, torn = head.n, head.hash, head.bytes, head.ended, ""
    with file.open("rb") as opened:
        opened.seek(size)
        while line := opened.readline(LONGEST):
            at = n - head.first + 2
            if not line.endswith(b"\n"):
                torn = f"{len(line)} {digest(line)}"
                if opened.read(1):
                    raise Fault(file, at, f"a line of more than {LONGEST} bytes")
                break
            start = beginning(n + 1, prev)
            if ended or not line.startswith(start):
                raise Fault(file, at, "something follows the writer's last line" if ended else _wrong(line, n + 1))
            if n + 1 == head.first and not line.startswith(_head(file), len(start)):
                raise Fault(file, at, "the segment's first line is that of another one")
            ended = line.startswith(END, len(start))
            n, prev, size = n + 1, digest(line[:-1]), size + len(line)
            if watch is not None:
                watch.seen(n, prev, line)
    if torn and ended:
        raise Fault(file, n - head.first + 2, "something follows the writer's last line")
    return replace(head, n=n, hash=prev, bytes=size, ended=ended, torn=torn)


def _entered(file: Path, number: int, head: Head) -> Head:
    if number != head.segment + 1:
        raise Fault(file, 1, f"segment {head.segment + 1} is missing")
    if head.torn or head.ended:
        raise Fault(file, 1, "the segment before it is torn, or its writer had ended")
    return replace(head, segment=number, bytes=0, first=head.n + 1)


def _head(file: Path) -> bytes:
    """How the first line of a segment goes on."""
    return b'"kind":"segment","writer":"%s","segment":%d,' % (file.parent.name.encode(), int(file.stem))


def _wrong(line: bytes, expected: int) -> str:
    met = _BEGINNING.match(line)
    if met is None:
        return f"record {expected} is due here, and this is none"
    if int(met[1]) != expected:
        return f"record {expected} is due here, met {int(met[1])}: records are missing, were moved or added"
    return f"record {expected} is not bound to the line above: that one was changed, or this one"
