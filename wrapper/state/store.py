"""The one durable store, of all that must outlive a process. It answers questions and keeps records; policy is elsewhere.

Each table is a module; the engine is SQLite or PostgreSQL by the store's URL. What callers sent and got is sealed.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import cast

from adapters.base import Events
from adapters.events import SILENT
from wrapper import log
from wrapper.problems import NotReady
from wrapper.state import backup, marks
from wrapper.state.buckets import Buckets
from wrapper.state.census import Census
from wrapper.state.clock import Clock
from wrapper.state.database import BadStore, Database, Transaction, note, noted, prepare
from wrapper.state.decisions import Decisions
from wrapper.state.evidence import Evidence
from wrapper.state.generations import Generations
from wrapper.state.issuer import IssuerTables
from wrapper.state.jobs import Jobs
from wrapper.state.kept import Kept
from wrapper.state.keys import Keys
from wrapper.state.leases import LeaseTable
from wrapper.state.legs import Legs
from wrapper.state.seal import Seal, add_key, seal_in, write_key
from wrapper.state.sqlite import Sqlite
from wrapper.state.stages import Stages
from wrapper.state.subjects import SubjectKeys
from wrapper.state.timed import Timed
from wrapper.state.writes import Writes

_SEALED = "SELECT params AS sealed FROM jobs UNION ALL SELECT answer FROM writes WHERE answer IS NOT NULL LIMIT 1"


class Store(
    Keys, Writes, Legs, Jobs, LeaseTable, Generations, Census, Stages, Evidence, SubjectKeys, IssuerTables, Buckets, Decisions, Kept
):
    """Thread-safe, and safe among processes and, with PostgreSQL, hosts. Raises BadStore for a store or a key that can't be used."""

    def __init__(
        self,
        url: str,
        key: Path | None = None,
        clock: Clock | None = None,
        *,
        there: bool = False,
        patient: bool = False,
        events: Events = SILENT,
    ) -> None:
        """`key` is the file of the seal's key. One that is `there` is not made: without it there is nothing to tell. A `patient` one was
        there before and may be away now, so that a worker can begin while the store is down: it is checked when it comes back, before
        anything is asked of it."""
        engine, self._key_file = _engine(url, key, clock or Clock())
        self._engine = cast(Database, Timed(engine, events))
        self.folder = self._engine.folder
        self._open: Seal | None = None
        self._there, self._patient = there or patient, patient
        self._checking = threading.Lock()
        try:
            if not self._there:
                self.folder.mkdir(parents=True, exist_ok=True)
            self._check()
        except NotReady as error:
            if not patient:
                raise BadStore(f"{self._engine.where}: {error}; restore a backup or name another store") from None
        except OSError as error:
            raise _no_place(error) from None
        finally:
            self.close()  # a process that forks now passes no connection on

    @property
    def _db(self) -> Database:
        if self._open is None:
            self._check_late()
        return self._engine

    @property
    def _seal(self) -> Seal:
        if self._open is None:
            self._check_late()
        assert self._open is not None
        return self._open

    def _check_late(self) -> None:
        if not self._checking.acquire(timeout=1):
            raise NotReady("the state store is being looked at")
        try:
            self._check()
        except BadStore as error:
            log.get().error("state", outcome="refused", detail=str(error))
            raise NotReady("the state store is there, but can't be used; the log says why") from None
        finally:
            self._checking.release()

    def _check(self) -> None:
        """Soundness, schema and seal, before the first promise is made on it."""
        if self._open is not None:
            return
        if self._there:
            self._engine.create(True)
        if not self._patient:
            self._engine.create(False)
        with self._engine.transaction(alone="schema") as tx:
            version = prepare(self._engine, tx, self._on_new)
            seal = seal_in(self._key_file, self._engine.where)
            self._check_key(tx, seal)
            if 0 < version < marks.SINCE:
                log.get().warning("state", outcome="upgraded", detail=f"{marks.mark_old(seal, tx)} keys are taken over as they are")
        self._open = seal

    def _on_new(self) -> None:
        if self._there:
            raise NotReady("there is no state store")
        write_key(self._key_file)

    def _check_key(self, tx: Transaction, seal: Seal) -> None:
        """The seal's mark is in the store: another host's, or another store's, is refused."""
        mark, known = seal.fingerprint("figway"), noted(tx, "seal")
        sealed = tx.one(_SEALED) if known is None else None
        if (known or mark) != mark or (sealed and not seal.opens(sealed["sealed"])):
            raise BadStore(
                f"{self._engine.where} was sealed with another key: every host needs the same; restore store and key from one backup"
            )
        if known is None:
            note(tx, "seal", mark)

    def derived(self, purpose: str, number: int = 1) -> bytes:
        """See Seal.derived: the same for all who share the store."""
        return self._seal.derived(purpose, number)

    def newest_key(self) -> int:
        """The number of the key that seals now."""
        return self._seal.newest()

    def rotate_key(self, after: float = 0.0) -> int:
        """Add a key to this host's file, which seals from `after` seconds from now on: until then every host must have it. Its number.
        Raises BadStore."""
        self._seal.newest()  # it opens
        return add_key(self._key_file, time.time() + after)

    def close(self) -> None:
        self._engine.close()

    def backup(self, file: Path) -> int:
        """All of it, and its key, at one moment, into a new file; the number of rows."""
        return backup.backup(self._db, self._key_file, file)

    def ping(self) -> None:
        """Raises NotReady when nothing can be promised now: it writes a line, so a full disk and a read-only file show."""
        with self._db.transaction() as tx:
            note(tx, "seen", str(tx.wall()))


def folder_of(url: str, key: Path | None) -> Path:
    """For files beside the store, which need not be there."""
    return _engine(url, key, Clock())[0].folder


def restored(url: str, key: Path | None, file: Path) -> int:
    """A store made of a backup, where there is none yet; the number of its rows. Raises BadStore."""
    database, key_file = _engine(url, key, Clock())
    try:
        rows = backup.restore(database, key_file, file)
        Store(url, key).close()  # it opens, with this key
    except NotReady as error:
        raise BadStore(f"{database.where}: {error}") from None
    except OSError as error:
        raise _no_place(error) from None
    finally:
        database.close()
    return rows


def _no_place(error: OSError) -> BadStore:
    place = error.filename or "the state store"
    return BadStore(f"{place}: {error.strerror}; the state store and its key need folders that may be written to")


def _engine(url: str, key: Path | None, clock: Clock) -> tuple[Database, Path]:
    """The engine that a URL names, and the file of the seal's key: unless it is told, beside a store that is a file."""
    scheme = url.partition(":")[0]
    if scheme == "postgresql":
        from wrapper.state.postgres import Postgres  # who keeps a file needs no driver

        key = (key or Path(".figway") / "state.key").absolute()
        return Postgres(url, key.parent), key
    if not url.startswith("sqlite:///"):
        raise BadStore(f"the state store's URL must be sqlite:///PATH or postgresql://..., met {scheme}:...")
    path = Path(url.removeprefix("sqlite:///"))
    if path.name == ":memory:":
        raise BadStore("the state store must be a file: what lies in memory is no promise")
    return Sqlite(path, clock), key or path.with_name(path.name + ".key")
