"""SQLite as the store keeps it: durable before it acknowledges. A process has one connection that writes and a few that read.

`synchronous=FULL` because an acknowledged write must survive a power cut; WAL so that a reader waits neither for a writer nor for its disk.
A file that was moved away or replaced is noticed: in WAL mode SQLite itself would go on writing to what nobody will ever read.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wrapper.problems import NotReady
from wrapper.state.clock import Clock
from wrapper.state.database import BOUND as LONGEST
from wrapper.state.database import BadStore, Transaction, note, noted
from wrapper.state.schema import RESTART

BOUND = 2.6  # seconds to wait for other writers, those of this process and of all others
SHORT = 0.3  # seconds of these while it is known that another process does not let go
BUSY = 1.2  # seconds that one who reads waits for who recovers the file
READERS = 8  # connections kept open for reading
OVERWRITES = 5  # the version from which on what is deleted is overwritten: a file of one before is written anew, once, as it is upgraded
PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
REMOTE = re.compile(
    "nfs|cifs|smb|ncpfs|9p|afs|ceph|lustre|gpfs|glusterfs|beegfs|ocfs2|gfs2"
    "|fuse[.](ssh|gluster|ceph|s3|rclone|gcs|blob|mount-s3|goofys|juice|dav|moose|mfs|curlftp|smb)"
)


@dataclass(frozen=True, slots=True)
class _Open:
    """A connection to the file that bore the name then: device and inode."""

    file: tuple[int, int]
    connection: sqlite3.Connection


class Sqlite:
    """See database.Database."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self.where, self.folder = path, str(path), path.parent
        self._clock, self._offset = clock, 0.0
        self._lock = threading.Lock()
        self._forget()
        self._damaged = self._stuck = False

    def _forget(self) -> None:
        """What was opened before a fork is the parent's."""
        self._owner = os.getpid()
        self._writer: _Open | None = None
        self._readers: list[_Open] = []

    @contextmanager
    def transaction(self, alone: str = "", within: float = LONGEST, apart: str = "") -> Iterator[Transaction]:
        """There is one writer at a time anyway."""
        bound = min(BOUND, within)
        deadline = time.monotonic() + bound
        if not self._lock.acquire(
            timeout=min(SHORT, bound) if self._stuck else bound
        ):  # one thread at a time waits for who does not let go
            raise NotReady("the state store is busy")
        try:
            with self._told():
                try:
                    writer = self._writing()
                    writer.execute(f"PRAGMA busy_timeout={max(deadline - time.monotonic(), 0) * 1000:.0f}")
                    writer.execute("BEGIN IMMEDIATE")
                    yield Transaction(writer.execute, self._now, self._clock.wall)
                    writer.commit()
                    self._stuck = False
                except BaseException as error:
                    self._undo(error)
                    raise
        finally:
            self._lock.release()

    @contextmanager
    def reading(self, apart: str = "") -> Iterator[Transaction]:
        with self._told():
            reader = self._reading()
            try:
                yield Transaction(reader.connection.execute, self._now, self._clock.wall)
            except BaseException:
                reader.connection.close()
                raise
            if len(self._readers) < READERS:
                self._readers.append(reader)
            else:
                reader.connection.close()

    @contextmanager
    def bulk(self) -> Iterator[Transaction]:
        with self._told(), closing(self._connect()) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN")
            yield Transaction(connection.execute, self._now, self._clock.wall)
            connection.commit()

    def scrub(self) -> str:
        """The log of what was written holds old pages until it is cut."""
        with self._told(), closing(self._connect()) as connection:
            connection.execute(f"PRAGMA busy_timeout={BOUND * 1000:.0f}")
            if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return "somebody is reading: what was erased stays in the -wal file until `figway state purge` finds nobody"
        return ""

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._damaged |= getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
            raise NotReady(f"the state store can't be used ({getattr(error, 'sqlite_errorname', type(error).__name__)})") from error

    def _now(self) -> float:
        return self._clock.steady() + self._offset

    def _writing(self) -> sqlite3.Connection:
        file = self._file()
        if self._damaged:
            self._check()
        if self._writer is not None and self._writer.file != file:
            self._leave()
        if self._writer is None:
            self._writer = _Open(file, self._connect())
            self._writer.connection.execute("PRAGMA synchronous=FULL")
        return self._writer.connection

    def _reading(self) -> _Open:
        file = self._file()
        while True:
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = _Open(file, self._connect())
                reader.connection.execute("PRAGMA query_only=ON")
            if reader.file == file:
                return reader
            reader.connection.close()

    def _connect(self) -> sqlite3.Connection:
        """`mode=rw`: a file that went away is not made anew, empty, with all its promises gone."""
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten: no free page tells of it
        return connection

    def _file(self) -> tuple[int, int]:
        """Which file bears the name now: connections are to that one."""
        if self._owner != os.getpid():
            self._forget()
        try:
            found = os.stat(self.path)
        except FileNotFoundError as error:
            raise NotReady("there is no state store") from error
        except OSError as error:
            raise NotReady(f"the state store can't be used ({type(error).__name__})") from error
        return found.st_dev, found.st_ino

    def _check(self) -> None:
        """Once damage was met nothing is written until the file is whole again."""
        self._leave()
        checker = self._connect()
        try:
            if checker.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise NotReady("the state store is damaged: stop Figway and restore a backup")
        finally:
            checker.close()
        self._damaged = False

    def create(self, there: bool) -> None:
        """In WAL mode, whole, and on a file system whose locks can be trusted. Raises BadStore."""
        if there:
            self._file()
            return
        remote = network_file_system(self.path, Path("/proc/self/mounts").read_text(encoding="utf-8"))
        if remote:
            raise BadStore(
                f"{self.path} lies on {remote}, a network file system, where SQLite loses data: use a local disk or postgresql://"
            )
        with suppress(FileExistsError):  # its owner's alone; -wal and -shm follow it
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with self._told(), closing(sqlite3.connect(self.path, timeout=BUSY)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise BadStore(f"{self.path} is damaged: restore a backup with `figway state restore`, or name another file")
            if 0 < connection.execute("PRAGMA user_version").fetchone()[0] < OVERWRITES:
                connection.execute("VACUUM")

    def version(self, tx: Transaction) -> int:
        return int(tx.execute("PRAGMA user_version").fetchone()[0])

    def upgraded(self, tx: Transaction, version: int) -> None:
        tx.execute(f"PRAGMA user_version={version}")

    def dialect(self, statement: str) -> str:
        return statement

    def started(self, tx: Transaction) -> None:
        """Steady time goes on from where this boot of the host began. After another boot, or on another host, all holders are dead."""
        steady, boot = self._clock.steady(), self._clock.boot()
        last, _, offset = (noted(tx, "boot") or "").partition(" ")
        if last == boot:
            self._offset = float(offset)
            return
        self._offset = self._clock.wall() - steady
        note(tx, "boot", f"{boot} {self._offset!r}")
        if last:
            for statement in RESTART:
                tx.execute(statement)
            tx.execute("UPDATE jobs SET next_at = ? WHERE next_at > ? AND next_at < ?", (self._now(), self._now(), float("inf")))

    def close(self) -> None:
        with self._lock:
            if self._owner == os.getpid():
                self._leave()
                for reader in self._readers:
                    reader.connection.close()
            self._forget()

    def _undo(self, error: BaseException) -> None:
        """A connection that was opened on a read-only disk, say, stays read-only: it is kept only after what passes by itself."""
        if self._writer is not None:
            with suppress(sqlite3.Error):
                self._writer.connection.rollback()
            self._stuck = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            passes = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_BUSY) & 0xFF in PASSING
            if self._writer.connection.in_transaction or not passes:
                self._leave()

    def _leave(self) -> None:
        """Close the writer; the next transaction opens another."""
        if self._writer is not None:
            self._writer.connection.close()
        self._writer = None


def network_file_system(path: Path, mounts: str) -> str:
    """The type of the network file system that `path` lies on, '' for a local one; `mounts` is as in /proc/self/mounts."""
    resolved = path.resolve()
    under = [
        (len(place), number, kind)  # of two at one place the later hides the earlier
        for number, (_, place, kind, *_) in enumerate(line.split(" ") for line in mounts.splitlines())
        if resolved.is_relative_to(place.replace("\\040", " "))
    ]
    kind = max(under, default=(0, 0, ""))[2]
    return kind if REMOTE.match(kind) else ""
