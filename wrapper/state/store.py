"""The one durable store: keys, idempotent writes, jobs, leases, generations. It answers questions and keeps records; policy is elsewhere.

Each table is a module; the engine is SQLite or PostgreSQL by the store's URL. What callers sent and got is sealed.
"""

from __future__ import annotations

from pathlib import Path

from wrapper.problems import NotReady
from wrapper.state.clock import Clock
from wrapper.state.database import BadStore, Database, Transaction, note, noted, prepare
from wrapper.state.generations import Generations
from wrapper.state.jobs import Jobs
from wrapper.state.keys import Keys
from wrapper.state.leases import LeaseTable
from wrapper.state.seal import Seal, make_key, seal_in
from wrapper.state.sqlite import Sqlite
from wrapper.state.writes import Writes

_SEALED = "SELECT params AS sealed FROM jobs UNION ALL SELECT answer FROM writes WHERE answer IS NOT NULL LIMIT 1"


class Store(Keys, Writes, Jobs, LeaseTable, Generations):
    """Thread-safe, and safe among processes and, with PostgreSQL, hosts. Raises BadStore for a store or a key that can't be used."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._db, key = _engine(url, clock or Clock())
        self.folder = self._db.folder
        try:
            prepare(self._db, lambda: make_key(key))
            self._seal: Seal = seal_in(key, self._db.where)
            with self._db.transaction("schema") as tx:
                self._check_key(tx)
        except (OSError, NotReady) as error:
            raise BadStore(f"{self._db.where}: {error}; restore a backup or name another store") from None
        finally:
            self.close()  # a process that forks now passes no connection on

    def _check_key(self, tx: Transaction) -> None:
        """The seal's mark is in the store: another host's, or another store's, is refused."""
        mark, known = self._seal.fingerprint("figway"), noted(tx, "seal")
        sealed = tx.one(_SEALED) if known is None else None
        if (known or mark) != mark or (sealed and not self._seal.opens(sealed["sealed"])):
            raise BadStore(
                f"{self._db.where} was sealed with another key: every host needs the same; restore store and key from one backup"
            )
        if known is None:
            note(tx, "seal", mark)

    def close(self) -> None:
        self._db.close()

    def ping(self) -> None:
        """Raises NotReady when nothing can be promised now: it writes a line, so a full disk and a read-only file show."""
        with self._db.transaction() as tx:
            note(tx, "seen", str(tx.wall()))


def _engine(url: str, clock: Clock) -> tuple[Database, Path]:
    """The engine that a URL names, and the file of the seal's key."""
    if not url.startswith("sqlite:///"):
        raise BadStore(f"the state store's URL must be sqlite:///PATH or postgresql://..., met {url.partition(':')[0]}:...")
    path = Path(url.removeprefix("sqlite:///"))
    if path.name == ":memory:":
        raise BadStore("the state store must be a file: what lies in memory is no promise")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = Sqlite(path, clock)
        engine.create()
    except (OSError, NotReady) as error:
        raise BadStore(f"{path}: {error}; restore a backup or name another file") from None
    return engine, path.with_name(path.name + ".key")
