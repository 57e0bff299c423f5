"""One writer's files: who appends to them, durably, and nobody else. A chain belongs to one process and is never gone on with by another.

The folder is locked for as long as its process lives: by that others tell that it has ended. What was begun and did not become durable is
cut off again; where even that fails, or the files are not there any more, the chain is given up and its process begins another one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from wrapper.audit import lines

SIZE = 32 * 1024 * 1024  # bytes after which another segment begins


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


class Chain:
    """Used by one thread. Everything raises OSError; `broken` says then that nothing can be appended any more."""

    def __init__(self, folder: Path, about: Mapping[str, str], size: int = SIZE, day: Callable[[], str] = today) -> None:
        """`about` says who writes; it is told at the head of each segment."""
        self.id = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        self._about, self._size, self._day = about, size, day
        self._path = folder / self.id
        self._n, self._prev, self._number, self._file, self._length, self._of = 0, lines.START, 0, -1, 0, ""
        self.broken = False
        folder.mkdir(mode=0o700, exist_ok=True)  # what it lies in is there: a path that is mistyped is no trail
        self._path.mkdir(mode=0o700)
        self._held = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _settled(folder)
            self._roll()
        except BaseException:
            self.close()
            raise

    def append(self, bodies: Sequence[bytes]) -> int:
        """All of them, durable, or none; the number of the first one."""
        self.roll()
        first = self._n + 1
        self._write(bodies)
        return first

    def roll(self) -> None:
        """Begin another segment when this one is large, or of yesterday."""
        if self._length >= self._size or self._of != self._day():
            self._roll()

    def end(self) -> None:
        """The last line: after it there is none."""
        self._write([lines.packed({"kind": "end", "at": lines.now()})])

    def close(self) -> None:
        for file in (self._file, self._held):
            if file >= 0:
                with suppress(OSError):
                    os.close(file)
        self._file = self._held = -1

    def _roll(self) -> None:
        """The head is durable, or the segment before goes on."""
        before, length, of = self._file, self._length, self._of
        path = self._path / lines.segment(self._number + 1)
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND | os.O_DSYNC, 0o600)
        self._length, self._of = 0, self._day()
        try:
            head = {"kind": "segment", "writer": self.id, "segment": self._number + 1, "at": lines.now(), **self._about}
            self._write([lines.packed(head)])
            os.fsync(self._held)
        except OSError:
            os.close(self._file)
            self._file, self._length, self._of = before, length, of
            self.broken = self._number == 0
            with suppress(OSError):
                path.unlink()
            raise
        self._number += 1
        if before >= 0:
            os.close(before)

    def _write(self, bodies: Sequence[bytes]) -> None:
        n, prev, made = self._n, self._prev, list[bytes]()
        for body in bodies:
            n += 1
            line = lines.linked(n, prev, body)
            prev = lines.digest(line)
            made.append(line)
        whole = b"\n".join((*made, b""))
        if not self._there():
            self.broken = True
            raise FileNotFoundError(errno.ENOENT, "the file is not there any more")
        try:
            if os.write(self._file, whole) != len(whole):  # durable when it returns: O_DSYNC
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._cut()
            raise
        self._n, self._prev, self._length = n, prev, self._length + len(whole)

    def _there(self) -> bool:
        """Whether what is written is where others look for it: neither deleted nor moved away."""
        with suppress(OSError):
            return os.fstat(self._file).st_nlink > 0 and os.path.samestat(os.stat(self._path), os.fstat(self._held))
        return False

    def _cut(self) -> None:
        """Back to the last line that somebody was told of."""
        try:
            os.ftruncate(self._file, self._length)
            os.fsync(self._file)
        except OSError:
            self.broken = True


def _settled(folder: Path) -> None:
    """The names in a folder are durable, too."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
